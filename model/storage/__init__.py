"""Bytes on disk: durable writes, checked files, where the shipped ones lie."""
