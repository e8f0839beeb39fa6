from importlib.metadata import version
from importlib.resources import files

import sessiond


def test_the_distribution_carries_the_version_of_the_package() -> None:
    assert version("sessiond") == sessiond.__version__


def test_the_package_is_marked_as_typed() -> None:
    assert files(sessiond).joinpath("py.typed").is_file()
