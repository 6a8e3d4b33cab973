"""Throws away what nobody needs any more: layers, uploads, blobs, images of failed versions."""
