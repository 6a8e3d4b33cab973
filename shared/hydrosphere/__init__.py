"""Hydrosphere's wire, beside the values of shared/contract.py."""
