"""Bytes in, bytes out: token text, MACs, the JWS front, sealing, PIN hashing, the key ring."""
