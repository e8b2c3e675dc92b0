"""A bearer token as the metadata of a call."""

__all__ = ["Metadata", "token_metadata"]

Metadata = tuple[tuple[str, str], ...]


def token_metadata(token: str) -> Metadata | None:
    """None without a token. Raises ValueError, which does not show it, for what no header can carry."""
    if not token:
        return None
    if not all("!" <= letter <= "~" for letter in token):
        raise ValueError("the token has a letter that no token has: wanted printable ASCII without blanks")
    return (("authorization", f"Bearer {token}"),)
