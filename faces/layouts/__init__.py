"""The layouts that published data sets come in, each in a folder or an archive of any name."""
