/* What tests tell the provider to do, and what it tells them: both in files, so that they may be of other processes. */
#ifndef ORDERS_H
#define ORDERS_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ort.h"

enum { LONGEST_PATH = 4096, LONGEST_ORDER = 256 };
static const long POLL_NS = 2000000;

/* A line of the command file: a word, and what follows it. */
struct order {
    char word[32];
    char rest[LONGEST_ORDER];
};

static bool says(const struct order *order, const char *word) { return strcmp(order->word, word) == 0; }

/* The order of now; "ok" where there is no file, or an empty one. */
static struct order read_order(const char *path) {
    struct order order = {"ok", ""};
    char line[LONGEST_ORDER] = "";
    int file = path[0] ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return order;
    ssize_t size = read(file, line, sizeof line - 1);
    close(file);
    if (size > 0) sscanf(line, "%31s %255[^\n]", order.word, order.rest);
    return order;
}

/* Appends a line to `<command file>.log`, whole even where several processes write. */
static void tell(const char *path, const char *what, const char *word) {
    char log[LONGEST_PATH + 8], line[64];
    if (!path[0]) return;
    snprintf(log, sizeof log, "%s.log", path);
    int size = snprintf(line, sizeof line, word[0] ? "%s %s\n" : "%s\n", what, word);
    int file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0) return;
    if (write(file, line, (size_t)size) != size) abort();
    close(file);
}

static void sleep_ns(long ns) {
    struct timespec span = {ns / 1000000000, ns % 1000000000};
    nanosleep(&span, NULL);
}

/* Stays here while it is told to hang so; what it is told after that. */
static struct order read_order_after(const char *path, const char *hang) {
    struct order order = read_order(path);
    if (says(&order, hang)) tell(path, "hanging", "");
    while (says(&order, hang)) {
        sleep_ns(POLL_NS);
        order = read_order(path);
    }
    return order;
}

/* Does as told before a compute whose result has `first` as its first dimension. Sets what to add to each number. */
static OrtStatus *obey(const char *path, int64_t first, float *wrong) {
    struct order order = read_order_after(path, "hang");
    char text[LONGEST_ORDER + 64] = "";
    int code = ORT_FAIL;
    *wrong = 0;
    if (says(&order, "ok") || says(&order, "skip") || says(&order, "absent") || says(&order, "hang_open")) return NULL;
    if (says(&order, "slow")) return sleep_ns(atol(order.rest) * 1000000), NULL;
    if (says(&order, "wrong")) return *wrong = strtof(order.rest, NULL), NULL;
    if (says(&order, "oom_above") && first <= atoll(order.rest)) return NULL;
    if (says(&order, "error")) {
        strcpy(text, "kernel error");
    } else if (says(&order, "ep_fail")) {
        code = ORT_EP_FAIL;
        strcpy(text, "the provider failed");
    } else if (says(&order, "lost")) {
        strcpy(text, "device lost");
    } else if (says(&order, "sticky")) { /* as ONNX Runtime's CUDA libraries word it */
        strcpy(text, "CUDA failure 719: unspecified launch failure ; GPU=0 ; hostname=test ; file=faulty.c ; line=1 ; "
                     "expr=cudaStreamSynchronize(stream); ");
    } else if (says(&order, "oom") || says(&order, "oom_above")) { /* as BFCArena words it */
        snprintf(text, sizeof text, "Failed to allocate memory for requested buffer of size %lld",
                 (long long)first << 20);
    } else {
        snprintf(text, sizeof text, "the faulty provider knows no command '%s'", order.word);
    }
    tell(path, "failed", order.word);
    return ort.CreateStatus(code, text);
}

#endif
