"""Sixty and more ways to write an address that is never called, and some that are."""

# As they may stand in an address, in numbers.
IPV4 = (
    "169.254.169.254", "0xa9fea9fe", "0XA9FEA9FE", "2852039166", "0251.0376.0251.0376", "025177524776",
    "0xa9.0xfe.0xa9.0xfe", "169.16689662", "169.254.43518", "0xa9.254.0251.254", "169.254.169.0xfe",
    "169.254.170.2", "169.254.170.23", "169.254.42.42", "169.254.0.23", "169.254.1.1", "169.254.255.255",
    "100.100.100.200", "0x646464c8", "1684301000", "168.63.129.16", "0xa83f8110", "192.0.0.192", "3221225664",
    "0.0.0.0", "0", "0.0.0.1", "0.1.2.3", "224.0.0.1", "239.255.255.250", "255.255.255.255", "4294967295",
)
IPV6 = (
    "::", "0:0:0:0:0:0:0:0", "fe80::1", "FE80::A9FE:A9FE", "febf::1", "fe80::1%lo", "ff02::1", "ff0e::1",
    "fd00:ec2::254", "fd00:ec2::23", "fd00:0ec2:0:0:0:0:0:254", "fd20:ce::254", "fd00:c1::a9fe:a9fe",
    "fd00:42::42", "fd00:a9fe:a9fe::1",
    "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "0:0:0:0:0:ffff:a9fe:a9fe", "::FFFF:A9FE:A9FE",  # mapped
    "::ffff:100.100.100.200", "::ffff:0.0.0.0",
    "::a9fe:a9fe", "::169.254.169.254", "::100.100.100.200",                                      # compatible
    "::ffff:0:a9fe:a9fe", "::ffff:0:169.254.169.254",                                             # translated
    "2002:a9fe:a9fe::", "2002:a9fe:a9fe::1", "2002:6464:64c8::1",                                 # 6to4
    "2001:0:a9fe:a9fe::1", "2001::5601:5601",                                                     # Teredo
    "64:ff9b::a9fe:a9fe", "64:ff9b::169.254.169.254", "64:ff9b::6464:64c8",                       # NAT64
    "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::",                 # … local, /48, /56
    "64:ff9b:1:0:a9:fea9:fe00:0",                                                                 # … /64
    "2001:db8::5efe:a9fe:a9fe", "2001:db8::200:5efe:a9fe:a9fe",                                   # ISATAP
    "2001:db8:64::a9fe:a9fe", "fd01:64::6464:64c8",                            # a network's own NAT64
)
# Addresses of organisations: inner ones are called where a configuration names them.
CALLED = (
    "127.0.0.1", "127.8.8.8", "10.9.9.9", "172.16.0.1", "192.168.77.1", "100.64.0.1", "8.8.8.8", "192.0.0.1",
    "::1", "fd12:3456::1", "fec0::1", "2606:4700::1111", "::ffff:10.9.9.9", "64:ff9b::808:808", "2002:808:808::1",
    "fd00:ec3::254", "fd00:c1::1",
)
NAMES = ("metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data.ec2.internal")


def hosts() -> list[str]:
    """Each form as the host of an address."""
    return [*IPV4, *(f"[{text.replace('%', '%25')}]" for text in IPV6)]
