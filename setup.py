"""What pyproject.toml cannot say: the folder ``data`` is installed within the package, as ``hldm/shipped``."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["hldm*"]), "hldm.shipped"],
    package_dir={"hldm.shipped": "data"},
    package_data={
        "hldm": ["data/tables/*", "book/*.js", "show/*.css", "show/*.js"],
        "hldm.shipped": ["**/*"],
    },
)
