"""A `libcuda.so.1` without a GPU behind it: what the CUDA ladder asks of a driver, with the answers a test wants."""

_SOURCE = """
#include <stddef.h>
#include <string.h>
int cuTensorMapEncodeTiled(void) {{ return 0; }}
int cuInit(unsigned flags) {{ (void)flags; return {init}; }}
int cuDriverGetVersion(int *version) {{ *version = {version}; return 0; }}
int cuDeviceGetCount(int *count) {{ *count = {devices}; return {init}; }}
int cuDeviceGet(int *device, int ordinal) {{ *device = ordinal + 40; return 0; }}
int cuDeviceGetName(char *name, int size, int device) {{ (void)device; strncpy(name, "Stub GPU", size); return 0; }}
int cuDeviceTotalMem_v2(size_t *bytes, int device) {{ *bytes = (size_t)(device - 39) << 33; return 0; }}
int cuDeviceGetAttribute(int *value, int attribute, int device) {{
  (void)device;
  *value = attribute == 75 ? 8 : attribute == 76 ? 6 : -1;
  return 0;
}}
"""

CRASHING = "int cuDriverGetVersion(int *version) { __builtin_trap(); }"
WITHOUT_FUNCTIONS = "int cuTensorMapEncodeTiled(void) { return 0; }"


def driver(*, init: int = 0, version: int = 13000, devices: int = 1) -> str:
    """Its source in C. `init` is what `cuInit` answers, `version` the newest CUDA that it supports."""
    return _SOURCE.format(init=init, version=version, devices=devices)
