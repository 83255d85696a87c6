"""A compiled project as a package of the operating system: the tree of its files, its scripts, dpkg-deb and rpmbuild."""
