"""HTTP that no route owns: envelope, connections, errors, schemas, forms."""
