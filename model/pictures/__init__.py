"""Picture files: from untrusted bytes to pixels and back."""
