/* FaultyExecutionProvider: an execution provider as a plugin of ONNX Runtime, on the CPU, that fails when it is told to.
 *
 * It compiles each FP32 node that it has an operator for into a fused node of its own. What it is told, and how, stands
 * in commands.py.
 */
#include "operators.h"
#include "orders.h"
#include "ort.h"

static const char NAME[] = "FaultyExecutionProvider";
/* ONNX Runtime hands options on under the provider's name in small letters. */
static const char OPTION[] = "ep.faultyexecutionprovider.command_file";

struct provider {
    OrtEp base;
    char path[LONGEST_PATH]; /* of the command file; empty: none was given */
};

struct kernel {
    OrtNodeComputeInfo base;
    const char *path; /* the provider's, which outlives its kernels */
    enum op op;
    bool transposed; /* a product's second input is [N, K] */
    size_t inputs;
    size_t places[MOST_INPUTS]; /* of the operator's inputs among those of the fused node: `x + x` has one of them */
};

static OrtStatus *find_operator(const OrtNode *node, enum op *op) {
    const char *type, *domain;
    TRY(ort.Node_GetOperatorType(node, &type));
    TRY(ort.Node_GetDomain(node, &domain));
    *op = OPERATORS;
    if (domain[0] && strcmp(domain, "ai.onnx") != 0) return NULL;
    for (*op = 0; *op < OPERATORS && strcmp(type, operator_names[*op]) != 0;) ++*op;
    return NULL;
}

/* The attribute of that name; `number` stays as it is where the node has none. */
static OrtStatus *read_attribute(const OrtNode *node, const char *name, int type, void *number, size_t size) {
    const OrtOpAttr *attribute = NULL;
    OrtStatus *status = ort.Node_GetAttributeByName(node, name, &attribute);
    if (status) ort.ReleaseStatus(status);
    return attribute ? ort.ReadOpAttr(attribute, type, number, size, &size) : NULL;
}

/* Whether a Gemm is no more than x·w + b, or x·wᵀ + b. */
static OrtStatus *is_plain_gemm(const OrtNode *node, bool *plain, bool *transposed) {
    int64_t of_a = 0, of_b = 0;
    float alpha = 1, beta = 1;
    TRY(read_attribute(node, "transA", ATTRIBUTE_INT, &of_a, sizeof of_a));
    TRY(read_attribute(node, "transB", ATTRIBUTE_INT, &of_b, sizeof of_b));
    TRY(read_attribute(node, "alpha", ATTRIBUTE_FLOAT, &alpha, sizeof alpha));
    TRY(read_attribute(node, "beta", ATTRIBUTE_FLOAT, &beta, sizeof beta));
    *plain = !of_a && alpha == 1 && beta == 1;
    *transposed = of_b;
    return NULL;
}

/* The element type and rank of a tensor; neither is that of anything else. */
static OrtStatus *read_type(const OrtValueInfo *value, int *element, size_t *rank) {
    const OrtTypeInfo *type;
    const OrtTensorInfo *tensor;
    *element = *rank = 0;
    if (!value) return NULL; /* an optional input that was left out */
    TRY(ort.GetValueInfoTypeInfo(value, &type));
    TRY(ort.CastTypeInfoToTensorInfo(type, &tensor));
    if (!tensor) return NULL;
    TRY(ort.GetTensorElementType(tensor, element));
    return ort.GetDimensionsCount(tensor, rank);
}

/* Whether there is a kernel for the node. */
static OrtStatus *can_take(const OrtNode *node, enum op op, bool *can) {
    const OrtValueInfo *inputs[MOST_INPUTS];
    size_t count, ranks[MOST_INPUTS];
    bool transposed;
    *can = false;
    TRY(ort.Node_GetNumInputs(node, &count));
    if (count > MOST_INPUTS) return NULL;
    TRY(ort.Node_GetInputs(node, inputs, count));
    for (size_t i = 0; i < count; i++) {
        int element;
        TRY(read_type(inputs[i], &element, &ranks[i]));
        if (element != ELEMENT_FLOAT || ranks[i] > MOST_DIMS) return NULL;
    }
    *can = true;
    if (op == MATMUL) *can = ranks[0] >= 2 && ranks[1] == 2;
    return op == GEMM ? is_plain_gemm(node, can, &transposed) : NULL;
}

static bool is_skipped(const struct order *order, enum op op) {
    char words[LONGEST_ORDER], *state = NULL;
    if (!says(order, "skip")) return false;
    strcpy(words, order->rest);
    for (char *word = strtok_r(words, " ", &state); word; word = strtok_r(NULL, " ", &state))
        if (strcmp(word, operator_names[op]) == 0) return true;
    return false;
}

static OrtStatus *take_nodes(const struct provider *self, const OrtNode **nodes, size_t count,
                             OrtEpGraphSupportInfo *info) {
    struct order order = read_order(self->path);
    for (size_t i = 0; i < count; i++) {
        enum op op;
        bool can;
        TRY(find_operator(nodes[i], &op));
        if (op == OPERATORS || is_skipped(&order, op)) continue;
        TRY(can_take(nodes[i], op, &can));
        if (can) TRY(ort.EpGraphSupportInfo_AddNodesToFuse(info, &nodes[i], 1, NULL));
    }
    return NULL;
}

static OrtStatus *get_capability(OrtEp *self, const OrtGraph *graph, OrtEpGraphSupportInfo *info) {
    size_t count;
    TRY(ort.Graph_GetNumNodes(graph, &count));
    const OrtNode **nodes = calloc(count + 1, sizeof *nodes);
    OrtStatus *status = ort.Graph_GetNodes(graph, nodes, count);
    if (!status) status = take_nodes((struct provider *)self, nodes, count, info);
    free(nodes);
    return status;
}

static OrtStatus *create_state(OrtNodeComputeInfo *self, void *context, void **state) {
    (void)context;
    *state = self;
    return NULL;
}

static void release_state(OrtNodeComputeInfo *self, void *state) { (void)self, (void)state; }

static OrtStatus *run_kernel(OrtNodeComputeInfo *info, void *state, OrtKernelContext *context) {
    const struct kernel *self = (const struct kernel *)info;
    struct tensor in[MOST_INPUTS], out;
    float *data, wrong;
    (void)state;
    for (size_t i = 0; i < self->inputs; i++) TRY(read_input(context, self->places[i], &in[i]));
    TRY(result_shape(self->op, self->transposed, in, &out));
    TRY(obey(self->path, out.rank ? out.dims[0] : 1, &wrong));
    TRY(make_output(context, &out, &data));
    compute(self->op, self->inputs, self->transposed, in, &out, data);
    for (size_t n = 0, count = wrong ? count_elements(&out) : 0; n < count; n++) data[n] += wrong;
    return NULL;
}

/* The names of a node's inputs. */
static OrtStatus *read_names(const OrtNode *node, const char **names, size_t *count) {
    const OrtValueInfo *inputs[MOST_INPUTS];
    TRY(ort.Node_GetNumInputs(node, count));
    TRY(ort.Node_GetInputs(node, inputs, *count));
    for (size_t i = 0; i < *count; i++) TRY(ort.GetValueInfoName(inputs[i], &names[i]));
    return NULL;
}

static OrtStatus *compile_node(const OrtGraph *graph, const OrtNode *fused, struct kernel *kernel) {
    const OrtNode *node;
    const char *names[MOST_INPUTS], *given[MOST_INPUTS];
    size_t count;
    bool plain;
    TRY(ort.Graph_GetNodes(graph, &node, 1));
    TRY(find_operator(node, &kernel->op));
    if (kernel->op == GEMM) TRY(is_plain_gemm(node, &plain, &kernel->transposed));
    TRY(read_names(node, names, &kernel->inputs));
    TRY(read_names(fused, given, &count));
    for (size_t i = 0; i < kernel->inputs; i++)
        for (size_t j = count; j-- > 0;)
            if (strcmp(names[i], given[j]) == 0) kernel->places[i] = j;
    return NULL;
}

static OrtStatus *compile(OrtEp *self, const OrtGraph **graphs, const OrtNode **fused, size_t count,
                          OrtNodeComputeInfo **infos, OrtNode **context_nodes) {
    (void)context_nodes; /* only for models that are compiled ahead */
    for (size_t i = 0; i < count; i++) {
        struct kernel *kernel = calloc(1, sizeof *kernel);
        kernel->base = (OrtNodeComputeInfo){API_VERSION, create_state, run_kernel, release_state};
        kernel->path = ((struct provider *)self)->path;
        infos[i] = &kernel->base;
        TRY(compile_node(graphs[i], fused[i], kernel));
    }
    return NULL;
}

static void release_kernels(OrtEp *self, OrtNodeComputeInfo **infos, size_t count) {
    (void)self;
    for (size_t i = 0; i < count; i++) free(infos[i]);
}

static const char *provider_name(const OrtEp *self) { return (void)self, NAME; }

static const char *factory_name(const OrtEpFactory *self) { return (void)self, NAME; }

static const char *vendor(const OrtEpFactory *self) { return (void)self, "Ortolan's tests"; }

static uint32_t vendor_id(const OrtEpFactory *self) { return (void)self, 0; }

static const char *version(const OrtEpFactory *self) { return (void)self, "0.1.0"; }

static OrtStatus *offer_devices(OrtEpFactory *self, const OrtHardwareDevice *const *hardware, size_t count,
                                OrtEpDevice **devices, size_t max_devices, size_t *device_count) {
    *device_count = 0;
    for (size_t i = 0; i < count && *device_count < max_devices; i++) {
        if (ort.HardwareDevice_Type(hardware[i]) != HARDWARE_CPU) continue;
        TRY(ort.CreateEpDevice(self, hardware[i], NULL, NULL, &devices[*device_count]));
        ++*device_count;
    }
    return NULL;
}

static OrtStatus *create_provider(OrtEpFactory *self, const OrtHardwareDevice *const *hardware,
                                  const OrtKeyValuePairs *const *metadata, size_t count,
                                  const OrtSessionOptions *options, const OrtLogger *logger, OrtEp **ep) {
    char path[LONGEST_PATH] = "";
    size_t size = sizeof path;
    int given;
    (void)self, (void)hardware, (void)metadata, (void)count, (void)logger;
    TRY(ort.HasSessionConfigEntry(options, OPTION, &given));
    if (given) TRY(ort.GetSessionConfigEntry(options, OPTION, path, &size));
    struct order order = read_order_after(path, "hang_open");
    if (says(&order, "absent")) {
        tell(path, "refused", "");
        return ort.CreateStatus(ORT_FAIL, "no faulty device here");
    }
    struct provider *provider = calloc(1, sizeof *provider);
    provider->base = (OrtEp){.ort_version_supported = API_VERSION,
                             .GetName = provider_name,
                             .GetCapability = get_capability,
                             .Compile = compile,
                             .ReleaseNodeComputeInfos = release_kernels};
    memcpy(provider->path, path, sizeof path);
    *ep = &provider->base;
    tell(path, "opened", "");
    return NULL;
}

static void release_provider(OrtEpFactory *self, OrtEp *ep) {
    (void)self;
    if (!ep) return;
    tell(((struct provider *)ep)->path, "closed", "");
    free(ep);
}

/* It has no memory of its own, hence nothing to allocate or to copy. */
static OrtStatus *no_allocator(OrtEpFactory *self, const void *memory, const OrtKeyValuePairs *options,
                               void **allocator) {
    (void)self, (void)memory, (void)options;
    *allocator = NULL;
    return NULL;
}

static void release_no_allocator(OrtEpFactory *self, void *allocator) { (void)self, (void)allocator; }

static OrtStatus *no_transfer(OrtEpFactory *self, void **transfer) {
    (void)self;
    *transfer = NULL;
    return NULL;
}

static bool no_streams(const OrtEpFactory *self) { return (void)self, false; }

static OrtEpFactory factory = {.ort_version_supported = API_VERSION,
                               .GetName = factory_name,
                               .GetVendor = vendor,
                               .GetSupportedDevices = offer_devices,
                               .CreateEp = create_provider,
                               .ReleaseEp = release_provider,
                               .GetVendorId = vendor_id,
                               .GetVersion = version,
                               .CreateAllocator = no_allocator,
                               .ReleaseAllocator = release_no_allocator,
                               .CreateDataTransfer = no_transfer,
                               .IsStreamAware = no_streams};

/* The two functions that ONNX Runtime looks for. */

OrtStatus *CreateEpFactories(const char *registered_name, const OrtApiBase *base, const OrtLogger *logger,
                             OrtEpFactory **factories, size_t max_factories, size_t *count) {
    const void *api = base->GetApi(API_VERSION);
    (void)registered_name, (void)logger, (void)max_factories;
    *count = 0;
    if (!api) {
        char text[128];
        snprintf(text, sizeof text, "the faulty provider needs version %d of ONNX Runtime's API, which %s has not",
                 API_VERSION, base->GetVersionString());
        memcpy(&ort.CreateStatus, base->GetApi(1), sizeof(void *)); /* the first entry, which every version has */
        return ort.CreateStatus(ORT_FAIL, text);
    }
    load_api(api);
    load_ep_api(ort.GetEpApi());
    factories[0] = &factory;
    *count = 1;
    return NULL;
}

OrtStatus *ReleaseEpFactory(OrtEpFactory *released) {
    (void)released;
    return NULL;
}
