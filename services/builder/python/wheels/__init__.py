"""Packages that no index has a wheel of for a base image: they are built inside that base."""
