import getpass
import os

import pytest

from monitor.cli.options import login_name


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 12345"), OSError("No username set")])
def test_a_user_without_a_name_is_a_number(monkeypatch, error):
    """In a container with an arbitrary UID the number is the name."""
    def unknown():
        raise error

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert login_name() == str(os.getuid())
