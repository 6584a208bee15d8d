"""Catalog: which generation of each hour is published. Filled in below by the port's interface."""
