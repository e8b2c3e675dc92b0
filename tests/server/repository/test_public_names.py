from ortolan_server import repository


def test_what_is_public() -> None:
    assert repository.__all__ == [
        "DEFAULT_NODE_SHARE",
        "Batching",
        "ChainRung",
        "DeclaredTensor",
        "Failover",
        "Limits",
        "Lock",
        "ModelEntry",
        "ModelToml",
        "Numeric",
        "Repository",
        "Require",
        "VersionPolicy",
        "Warmup",
        "WarmupInput",
        "check_external_data",
        "load_model_toml",
        "model_toml_json_schema",
        "parse_model_toml",
    ]
    assert all(hasattr(repository, name) for name in repository.__all__)
