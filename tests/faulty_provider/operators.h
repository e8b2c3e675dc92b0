/* The operators of the provider, on FP32 tensors in CPU memory: right, and not fast. */
#ifndef OPERATORS_H
#define OPERATORS_H

#include <math.h>
#include <stdio.h>

#include "ort.h"

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        OrtStatus *status_ = (call);                                                                                   \
        if (status_) return status_;                                                                                   \
    } while (0)

enum { MOST_DIMS = 8, MOST_INPUTS = 3 };
enum op { ADD, MUL, RELU, SIGMOID, IDENTITY, MATMUL, GEMM, OPERATORS };
static const char *const operator_names[OPERATORS] = {"Add", "Mul", "Relu", "Sigmoid", "Identity", "MatMul", "Gemm"};

struct tensor {
    size_t rank;
    int64_t dims[MOST_DIMS];
    const float *data;
};

static OrtStatus *refuse(const char *why) { return ort.CreateStatus(ORT_INVALID_ARGUMENT, why); }

static OrtStatus *read_input(OrtKernelContext *context, size_t place, struct tensor *into) {
    const OrtValue *value;
    OrtTensorInfo *info;
    void *data;
    TRY(ort.KernelContext_GetInput(context, place, &value));
    TRY(ort.GetTensorMutableData((OrtValue *)value, &data));
    into->data = data;
    TRY(ort.GetTensorTypeAndShape(value, &info));
    OrtStatus *status = ort.GetDimensionsCount(info, &into->rank);
    if (!status && into->rank > MOST_DIMS) status = refuse("more than 8 dimensions");
    if (!status) status = ort.GetDimensions(info, into->dims, into->rank);
    ort.ReleaseTensorTypeAndShapeInfo(info);
    return status;
}

static OrtStatus *make_output(OrtKernelContext *context, const struct tensor *shape, float **data) {
    OrtValue *value;
    TRY(ort.KernelContext_GetOutput(context, 0, shape->dims, shape->rank, &value));
    return ort.GetTensorMutableData(value, (void **)data);
}

static size_t count_elements(const struct tensor *shape) {
    size_t count = 1;
    for (size_t i = 0; i < shape->rank; i++) count *= (size_t)shape->dims[i];
    return count;
}

/* The size of dimension `i` of `rank`, where a tensor of fewer has ones in front. */
static int64_t size_at(const struct tensor *t, size_t i, size_t rank) {
    return i < rank - t->rank ? 1 : t->dims[i - (rank - t->rank)];
}

static OrtStatus *broadcast_shape(const struct tensor *a, const struct tensor *b, struct tensor *out) {
    out->rank = a->rank > b->rank ? a->rank : b->rank;
    for (size_t i = 0; i < out->rank; i++) {
        int64_t x = size_at(a, i, out->rank), y = size_at(b, i, out->rank);
        if (x != y && x != 1 && y != 1) return refuse("the shapes of the inputs do not broadcast");
        out->dims[i] = x == 1 ? y : x;
    }
    return NULL;
}

/* Where the element of `t` lies that broadcasts to element `n` of `out`. */
static size_t place_of(const struct tensor *t, const struct tensor *out, size_t n) {
    size_t place = 0, step = 1;
    for (size_t i = out->rank; i-- > out->rank - t->rank;) {
        int64_t size = size_at(t, i, out->rank), index = (int64_t)(n % (size_t)out->dims[i]);
        if (size != 1) place += (size_t)index * step;
        step *= (size_t)size;
        n /= (size_t)out->dims[i];
    }
    return place;
}

/* What `op` makes of inputs of these shapes. */
static OrtStatus *result_shape(enum op op, bool transposed, const struct tensor *in, struct tensor *out) {
    if (op == ADD || op == MUL) return broadcast_shape(&in[0], &in[1], out);
    *out = in[0];
    if (op != MATMUL && op != GEMM) return NULL;
    if (in[0].rank < 2 || in[1].rank != 2) return refuse("a product takes [..., K] and [K, N]");
    if (in[0].dims[in[0].rank - 1] != in[1].dims[transposed]) return refuse("the inner dimensions of a product differ");
    out->dims[out->rank - 1] = in[1].dims[!transposed];
    return NULL;
}

static void multiply(const struct tensor *in, const struct tensor *bias, bool transposed, const struct tensor *out,
                     float *data) {
    size_t inner = (size_t)in[1].dims[transposed], columns = (size_t)in[1].dims[!transposed];
    for (size_t n = 0, count = count_elements(out); n < count; n++) {
        size_t row = n / columns, column = n % columns;
        float sum = bias ? bias->data[place_of(bias, out, n)] : 0;
        for (size_t k = 0; k < inner; k++)
            sum += in[0].data[row * inner + k] * in[1].data[transposed ? column * inner + k : k * columns + column];
        data[n] = sum;
    }
}

static void compute(enum op op, size_t inputs, bool transposed, const struct tensor *in,
                    const struct tensor *out, float *data) {
    if (op == MATMUL || op == GEMM) {
        multiply(in, inputs == 3 ? &in[2] : NULL, transposed, out, data);
        return;
    }
    for (size_t n = 0, count = count_elements(out); n < count; n++) {
        float x = in[0].data[op <= MUL ? place_of(&in[0], out, n) : n];
        switch (op) {
        case ADD: data[n] = x + in[1].data[place_of(&in[1], out, n)]; break;
        case MUL: data[n] = x * in[1].data[place_of(&in[1], out, n)]; break;
        case RELU: data[n] = x < 0 ? 0 : x; break;
        case SIGMOID: data[n] = 1 / (1 + expf(-x)); break;
        default: data[n] = x;
        }
    }
}

#endif
