/* What the provider needs of ONNX Runtime's C API, declared by hand: the wheels ship no headers.
 *
 * OrtApi and OrtEpApi are tables of function pointers to which releases append, so an entry's place is its name for
 * all time. The numbers are the offsets of those entries in onnxruntime_c_api.h and onnxruntime_ep_c_api.h, divided by
 * the size of a pointer; the structs are laid out as there. Both as of API version 24 (ONNX Runtime 1.24), the first
 * with all that is used here: a later runtime sees in `ort_version_supported` which members it may look at.
 */
#ifndef ORT_H
#define ORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef API_VERSION
#define API_VERSION 24
#endif

enum { ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2, ORT_EP_FAIL = 11 }; /* OrtErrorCode */
enum { ELEMENT_FLOAT = 1 };                                        /* ONNXTensorElementDataType */
enum { ATTRIBUTE_INT = 1, ATTRIBUTE_FLOAT = 3 };                   /* OrtOpAttrType */
enum { HARDWARE_CPU = 0 };                                         /* OrtHardwareDeviceType */

typedef struct OrtStatus OrtStatus;
typedef struct OrtValue OrtValue;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtHardwareDevice OrtHardwareDevice;
typedef struct OrtKeyValuePairs OrtKeyValuePairs;
typedef struct OrtEpDevice OrtEpDevice;
typedef struct OrtLogger OrtLogger;
typedef struct OrtGraph OrtGraph;
typedef struct OrtNode OrtNode;
typedef struct OrtOpAttr OrtOpAttr;
typedef struct OrtValueInfo OrtValueInfo;
typedef struct OrtEpGraphSupportInfo OrtEpGraphSupportInfo;
typedef struct OrtEpFactory OrtEpFactory;
typedef struct OrtEp OrtEp;
typedef struct OrtNodeComputeInfo OrtNodeComputeInfo;

typedef struct { /* OrtApiBase */
    const void *(*GetApi)(uint32_t version);
    const char *(*GetVersionString)(void);
} OrtApiBase;

/* X(place, name, result, arguments): the entries of OrtApi. */
#define ORT_API(X)                                                                                                     \
    X(0, CreateStatus, OrtStatus *, (int code, const char *message))                                                   \
    X(51, GetTensorMutableData, OrtStatus *, (OrtValue * value, void **data))                                          \
    X(55, CastTypeInfoToTensorInfo, OrtStatus *, (const OrtTypeInfo *type, const OrtTensorInfo **tensor))              \
    X(60, GetTensorElementType, OrtStatus *, (const OrtTensorInfo *tensor, int *type))                                 \
    X(61, GetDimensionsCount, OrtStatus *, (const OrtTensorInfo *tensor, size_t *rank))                                \
    X(62, GetDimensions, OrtStatus *, (const OrtTensorInfo *tensor, int64_t *dims, size_t rank))                       \
    X(65, GetTensorTypeAndShape, OrtStatus *, (const OrtValue *value, OrtTensorInfo **tensor))                         \
    X(90, KernelContext_GetInput, OrtStatus *, (const OrtKernelContext *context, size_t place, const OrtValue **value)) \
    X(91, KernelContext_GetOutput, OrtStatus *,                                                                        \
      (OrtKernelContext * context, size_t place, const int64_t *dims, size_t rank, OrtValue **value))                  \
    X(93, ReleaseStatus, void, (OrtStatus * status))                                                                   \
    X(99, ReleaseTensorTypeAndShapeInfo, void, (OrtTensorInfo * tensor))                                               \
    X(237, HasSessionConfigEntry, OrtStatus *, (const OrtSessionOptions *options, const char *key, int *has))          \
    X(238, GetSessionConfigEntry, OrtStatus *,                                                                         \
      (const OrtSessionOptions *options, const char *key, char *text, size_t *size))                                   \
    X(272, ReadOpAttr, OrtStatus *, (const OrtOpAttr *attribute, int type, void *data, size_t size, size_t *read))     \
    X(289, GetValueInfoName, OrtStatus *, (const OrtValueInfo *info, const char **name))                               \
    X(290, GetValueInfoTypeInfo, OrtStatus *, (const OrtValueInfo *info, const OrtTypeInfo **type))                    \
    X(307, HardwareDevice_Type, int, (const OrtHardwareDevice *device))                                                \
    X(317, GetEpApi, const void *, (void))                                                                             \
    X(344, Graph_GetNumNodes, OrtStatus *, (const OrtGraph *graph, size_t *count))                                     \
    X(345, Graph_GetNodes, OrtStatus *, (const OrtGraph *graph, const OrtNode **nodes, size_t count))                  \
    X(350, Node_GetOperatorType, OrtStatus *, (const OrtNode *node, const char **type))                                \
    X(351, Node_GetDomain, OrtStatus *, (const OrtNode *node, const char **domain))                                    \
    X(353, Node_GetNumInputs, OrtStatus *, (const OrtNode *node, size_t *count))                                       \
    X(354, Node_GetInputs, OrtStatus *, (const OrtNode *node, const OrtValueInfo **inputs, size_t count))              \
    X(361, Node_GetAttributeByName, OrtStatus *,                                                                       \
      (const OrtNode *node, const char *name, const OrtOpAttr **attribute))

/* Likewise of OrtEpApi. */
#define ORT_EP_API(X)                                                                                                  \
    X(0, CreateEpDevice, OrtStatus *,                                                                                  \
      (OrtEpFactory * factory, const OrtHardwareDevice *hardware, const OrtKeyValuePairs *metadata,                    \
       const OrtKeyValuePairs *options, OrtEpDevice **device))                                                         \
    X(2, EpGraphSupportInfo_AddNodesToFuse, OrtStatus *,                                                               \
      (OrtEpGraphSupportInfo * info, const OrtNode *const *nodes, size_t count, const void *fusion_options))

#define ORT_MEMBER(place, name, result, arguments) result(*name) arguments;
#define ORT_LOAD(place, name, result, arguments)                                                                       \
    memcpy(&ort.name, (const char *)table + (place) * sizeof(void *), sizeof(void *));

/* Both tables, once CreateEpFactories has filled it. */
static struct {
    ORT_API(ORT_MEMBER)
    ORT_EP_API(ORT_MEMBER)
} ort;

static void load_api(const void *table) { ORT_API(ORT_LOAD) }

static void load_ep_api(const void *table) { ORT_EP_API(ORT_LOAD) }

struct OrtNodeComputeInfo {
    uint32_t ort_version_supported;
    OrtStatus *(*CreateState)(OrtNodeComputeInfo *self, void *context, void **state);
    OrtStatus *(*Compute)(OrtNodeComputeInfo *self, void *state, OrtKernelContext *context);
    void (*ReleaseState)(OrtNodeComputeInfo *self, void *state);
};

struct OrtEp {
    uint32_t ort_version_supported;
    const char *(*GetName)(const OrtEp *self);
    OrtStatus *(*GetCapability)(OrtEp *self, const OrtGraph *graph, OrtEpGraphSupportInfo *info);
    OrtStatus *(*Compile)(OrtEp *self, const OrtGraph **graphs, const OrtNode **fused, size_t count,
                          OrtNodeComputeInfo **infos, OrtNode **context_nodes);
    void (*ReleaseNodeComputeInfos)(OrtEp *self, OrtNodeComputeInfo **infos, size_t count);
    /* May all be NULL: GetPreferredDataLayout, ShouldConvertDataLayoutForOp, SetDynamicOptions, OnRunStart, OnRunEnd,
     * CreateAllocator, CreateSyncStreamForDevice, GetCompiledModelCompatibilityInfo, GetKernelRegistry and
     * IsConcurrentRunSupported, without which runs may be concurrent. */
    void (*optional[10])(void);
};

struct OrtEpFactory {
    uint32_t ort_version_supported;
    const char *(*GetName)(const OrtEpFactory *self);
    const char *(*GetVendor)(const OrtEpFactory *self);
    OrtStatus *(*GetSupportedDevices)(OrtEpFactory *self, const OrtHardwareDevice *const *hardware, size_t count,
                                      OrtEpDevice **devices, size_t max_devices, size_t *device_count);
    OrtStatus *(*CreateEp)(OrtEpFactory *self, const OrtHardwareDevice *const *hardware,
                           const OrtKeyValuePairs *const *metadata, size_t count, const OrtSessionOptions *options,
                           const OrtLogger *logger, OrtEp **ep);
    void (*ReleaseEp)(OrtEpFactory *self, OrtEp *ep);
    uint32_t (*GetVendorId)(const OrtEpFactory *self);
    const char *(*GetVersion)(const OrtEpFactory *self);
    void (*ValidateCompiledModelCompatibilityInfo)(void); /* may be NULL */
    OrtStatus *(*CreateAllocator)(OrtEpFactory *self, const void *memory, const OrtKeyValuePairs *options,
                                  void **allocator);
    void (*ReleaseAllocator)(OrtEpFactory *self, void *allocator);
    OrtStatus *(*CreateDataTransfer)(OrtEpFactory *self, void **transfer);
    bool (*IsStreamAware)(const OrtEpFactory *self);
    /* May all be NULL: CreateSyncStreamForDevice, GetHardwareDeviceIncompatibilityDetails,
     * CreateExternalResourceImporterForDevice, GetNumCustomOpDomains and GetCustomOpDomains. */
    void (*optional[5])(void);
};

#endif
