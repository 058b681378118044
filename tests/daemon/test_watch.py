from monitor.daemon.signals import Watch


def test_a_new_file_of_a_pattern_is_a_change(tmp_path):
    """What comes to match an include counts, also where links are swapped as Kubernetes does it."""
    version = tmp_path / "..v1"
    version.mkdir()
    (version / "one.toml").write_text("1")
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "one.toml").symlink_to("..data/one.toml")
    watch = Watch([tmp_path / "one.toml"], every=0.0, patterns=[str(tmp_path / "*.toml")])
    assert [watch.changed(), watch.changed()] == [False, False]
    (tmp_path / "two.toml").write_text("2")
    assert [watch.changed(), watch.changed(), watch.changed()] == [False, True, False]
    (tmp_path / "two.toml").unlink()
    assert [watch.changed(), watch.changed()] == [False, True]
