/* The C interface of mirnet: restores photographs with the MIRNet networks on the CPU. C99 and later, C++ too.
 *
 *   mirnet_error error;
 *   mirnet_model *model;
 *   mirnet_plan *plan;
 *   mirnet_format const format = {width, height, 3, MIRNET_U8};
 *   if (mirnet_model_load_file("denoise.mirw", NULL, &model, &error) != MIRNET_OK) ...
 *   if (mirnet_plan_create(model, &format, NULL, &plan, &error) != MIRNET_OK) ...
 *   if (mirnet_run(plan, noisy, 0, clean, 0, NULL, &error) != MIRNET_OK) ...
 *   mirnet_plan_free(plan);
 *   mirnet_model_free(model);
 *
 * Results have the same bits as those of the program mirnet with the same weights, options and instruction set, for any
 * number of threads.
 *
 * Errors. Functions that can fail return a mirnet_status and, where `error` is not NULL, write a sentence without a
 * full stop that says what failed, what was found and what was expected. No C++ exception leaves a function. A handle
 * that a failed call was to create is NULL.
 *
 * Threads. Models and plans do not change: any number of threads may use one at the same time. Free a model or a plan
 * only after every call that uses it has returned, and a model after its plans.
 *
 * Stability. A program built with this header runs with later versions of the shared library that have the same
 * MIRNET_INTERFACE. Structures whose first member is struct_size may gain members at their end: start one from its
 * MIRNET_..._INIT, which sets that member, and the defaults of the others. An older library refuses members that it
 * does not know, unless they are zero.
 */
#ifndef MIRNET_H
#define MIRNET_H

#include <stddef.h>
#include <stdint.h>

#if defined(MIRNET_BUILDS_SHARED) && defined(_WIN32)
#define MIRNET_API __declspec(dllexport)
#elif defined(MIRNET_USES_SHARED) && defined(_WIN32)
#define MIRNET_API __declspec(dllimport)
#elif defined(__GNUC__)
#define MIRNET_API __attribute__((visibility("default")))
#else
#define MIRNET_API
#endif

/* The number of this interface; the shared library has it in its name (libmirnet.so.1). */
#define MIRNET_INTERFACE 1

#ifdef __cplusplus
extern "C" {
#endif

/* What kind of thing went wrong. The numbers are the exit codes of the program mirnet. */
typedef enum mirnet_status {
  MIRNET_OK = 0,
  MIRNET_INTERNAL = 1,         /* a defect of the library */
  MIRNET_INVALID_ARGUMENT = 2, /* an argument that the function does not accept */
  MIRNET_MODEL = 4,            /* a weight file that is missing, damaged or of another kind */
  MIRNET_MEMORY = 5,           /* memory that cannot be allocated, or too little of the caller's */
  MIRNET_CANCELLED = 130       /* stopped by a progress function */
} mirnet_status;

/* Written by functions that fail; unchanged by those that do not. */
typedef struct mirnet_error {
  mirnet_status status;
  char message[512]; /* UTF-8 */
} mirnet_error;

/* The version of the library that runs: "0.2.0". */
MIRNET_API char const* mirnet_version(void);

/* The instruction sets of the library that this machine has, the fastest first: "avx512bf16", "avx512", "avx2", "sse2",
 * "neon" or "scalar". NULL for an index that is negative or past the last one. */
MIRNET_API char const* mirnet_instruction_set(int32_t index);

/* --- Models ------------------------------------------------------------------------------------------------------ */

/* A network with its weights. */
typedef struct mirnet_model mirnet_model;

/* The type of weights and intermediate results. */
typedef enum mirnet_precision {
  MIRNET_PRECISION_AUTO = 0, /* bf16 where the instruction set multiplies it (avx512bf16), fp32 elsewhere */
  MIRNET_FP32 = 1,
  MIRNET_BF16 = 2 /* takes half of the memory */
} mirnet_precision;

/* How convolutions are computed. */
typedef enum mirnet_algorithm {
  MIRNET_ALGORITHM_AUTO = 0,
  MIRNET_DIRECT = 1 /* multiplies more and rounds slightly less */
} mirnet_algorithm;

typedef struct mirnet_model_options {
  size_t struct_size;
  char const* instruction_set; /* NULL: the fastest of this machine */
  int32_t precision;           /* a mirnet_precision */
  int32_t algorithm;           /* a mirnet_algorithm */
} mirnet_model_options;

#define MIRNET_MODEL_OPTIONS_INIT \
  { sizeof(mirnet_model_options), NULL, MIRNET_PRECISION_AUTO, MIRNET_ALGORITHM_AUTO }

/* Loads a weight file (.mirw) of one of the library's networks. `path` is as fopen takes it, and UTF-8 on Windows.
 * `options` may be NULL. Errors: MIRNET_INVALID_ARGUMENT, for an instruction set that the library or the machine does
 * not have, or a precision that it has no kernels for; MIRNET_MODEL; MIRNET_MEMORY. */
MIRNET_API mirnet_status mirnet_model_load_file(char const* path, mirnet_model_options const* options,
                                                mirnet_model** model, mirnet_error* error);

/* The same for a weight file in memory, of any alignment, which is not needed afterwards. */
MIRNET_API mirnet_status mirnet_model_load_memory(void const* bytes, size_t size, mirnet_model_options const* options,
                                                  mirnet_model** model, mirnet_error* error);

/* Frees a model after its last plan. NULL is allowed. */
MIRNET_API void mirnet_model_free(mirnet_model* model);

/* Facts about a model. The texts live as long as the model. */
typedef struct mirnet_model_info {
  size_t struct_size;
  char const* network; /* "MIRNet" */
  char const* task;    /* what the weights were trained for: "denoise" */
  char const*
      instruction_set;   /* of the kernels that run: another than requested if that set has none for this precision */
  char const* precision; /* "fp32" or "bf16" */
  int64_t parameters;    /* numbers learned */
  int64_t bytes;         /* memory of the weights */
  int32_t views;         /* pictures that a run takes: 1, or 2, a left and a right view of one scene */
  int32_t reserved;      /* 0 */
} mirnet_model_info;

#define MIRNET_MODEL_INFO_INIT \
  { sizeof(mirnet_model_info), NULL, NULL, NULL, NULL, 0, 0, 0, 0 }

/* Fills the members that `info` has according to its struct_size. Errors: MIRNET_INVALID_ARGUMENT. */
MIRNET_API mirnet_status mirnet_model_get_info(mirnet_model const* model, mirnet_model_info* info, mirnet_error* error);

/* --- Plans ------------------------------------------------------------------------------------------------------- */

/* How a model restores images of one format: the tiles, the threads and the memory. */
typedef struct mirnet_plan mirnet_plan;

typedef enum mirnet_sample_type {
  MIRNET_U8 = 0,  /* 0 to 255 */
  MIRNET_U16 = 1, /* 0 to 65535, in the machine's byte order */
  MIRNET_F32 = 2  /* black is 0 and white is 1; values outside are kept */
} mirnet_sample_type;

/* Images in memory: rows from top to bottom, pixels from left to right, the samples of a pixel side by side. */
typedef struct mirnet_format {
  int64_t width, height; /* in pixels */
  int32_t channels;      /* 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha */
  int32_t type;          /* a mirnet_sample_type */
} mirnet_format;

/* Calls task(arguments, item, worker) once for every item in [0, count) and returns when all are done. Calls that run
 * at the same time have different workers in [0, workers). Where several threads run one plan, they call run() at the
 * same time. */
typedef void (*mirnet_task)(void* arguments, int64_t item, int64_t worker);
typedef struct mirnet_scheduler {
  void (*run)(void* self, int64_t count, mirnet_task task, void* arguments);
  void* self;
  int32_t workers;
} mirnet_scheduler;

#define MIRNET_WHOLE (-1)

typedef struct mirnet_plan_options {
  size_t struct_size;
  int32_t tile;    /* the longest side of a tile in pixels, 256 or more; 0: 768; MIRNET_WHOLE: one tile. Results differ
                      slightly with the tile. */
  int32_t threads; /* 0: one for each core that the process may use */
  mirnet_scheduler const* scheduler; /* shares out the work instead of `threads`; NULL: a run starts threads and ends
                                        them. Only the structure is copied. */
  int64_t
      most_memory; /* bytes that mirnet_plan_memory may return at most; 0: no limit. The bits do not depend on it. */
} mirnet_plan_options;

#define MIRNET_PLAN_OPTIONS_INIT \
  { sizeof(mirnet_plan_options), 0, 0, NULL, 0 }

/* Plans runs for images of a format. The model must outlive the plan. `options` may be NULL. Errors:
 * MIRNET_INVALID_ARGUMENT; MIRNET_MEMORY, if a run needs more than can be addressed, or more than most_memory; the
 * message then names the largest tile that fits. */
MIRNET_API mirnet_status mirnet_plan_create(mirnet_model const* model, mirnet_format const* format,
                                            mirnet_plan_options const* options, mirnet_plan** plan,
                                            mirnet_error* error);

/* NULL is allowed. */
MIRNET_API void mirnet_plan_free(mirnet_plan* plan);

/* The bytes that one run works in, beside both images. 0 for NULL. */
MIRNET_API size_t mirnet_plan_memory(mirnet_plan const* plan);

typedef struct mirnet_plan_info {
  size_t struct_size;
  int64_t tile_width, tile_height; /* in pixels */
  int64_t columns, rows;           /* of tiles */
  int64_t memory;                  /* as mirnet_plan_memory */
  uint64_t macs;                   /* multiply-accumulates of a run */
  int32_t threads;                 /* or workers of the scheduler */
  int32_t at_once;                 /* tiles that are computed at the same time */
} mirnet_plan_info;

#define MIRNET_PLAN_INFO_INIT \
  { sizeof(mirnet_plan_info), 0, 0, 0, 0, 0, 0, 0, 0 }

/* Fills the members that `info` has according to its struct_size. Errors: MIRNET_INVALID_ARGUMENT. */
MIRNET_API mirnet_status mirnet_plan_get_info(mirnet_plan const* plan, mirnet_plan_info* info, mirnet_error* error);

/* --- Runs -------------------------------------------------------------------------------------------------------- */

typedef struct mirnet_run_options {
  size_t struct_size;
  float strength;   /* 0: the image stays as it is; 1: all of the network's change */
  float keep_grain; /* the share of the change in brightness that is left out, 0 to 1: grain stays, blotches of colour
                       go */
  void const* right_view; /* the right view's first row, for models of two views; NULL for others */
  ptrdiff_t right_stride;
  void* memory; /* the caller's, from a multiple of 64 on; NULL: the run allocates its memory and frees it */
  size_t memory_size;
  /* Called many times a second with the share of the work that is done, 0 to 1, by one thread at a time, which need not
   * be the caller's. Any other value than 0 ends the run within milliseconds:
   * MIRNET_CANCELLED. NULL is allowed. */
  int (*progress)(void* self, double done);
  /* Called in the caller's thread when a rectangle of the output has its final samples. The rectangles cover every
   * pixel exactly once. NULL is allowed. */
  void (*finished)(void* self, int64_t x, int64_t y, int64_t width, int64_t height);
  void* self; /* the first argument of these functions */
} mirnet_run_options;

#define MIRNET_RUN_OPTIONS_INIT \
  { sizeof(mirnet_run_options), 1.0f, 0.0f, NULL, 0, NULL, 0, NULL, NULL, NULL }

/* Restores an image of the plan's format. A stride is the number of bytes from a row to the next: 0 for rows without
 * gaps; negative where rows are stored from bottom to top, with a pointer to the top row. Samples are aligned to their
 * type. Input and output do not overlap. Alpha is copied; colours of fully transparent pixels stay as they are. Once a
 * run has failed or was cancelled, the samples of the output are unspecified. Errors: MIRNET_INVALID_ARGUMENT;
 * MIRNET_MEMORY; MIRNET_CANCELLED. */
MIRNET_API mirnet_status mirnet_run(mirnet_plan const* plan, void const* input, ptrdiff_t input_stride, void* output,
                                    ptrdiff_t output_stride, mirnet_run_options const* options, mirnet_error* error);

/* --- Profiles ---------------------------------------------------------------------------------------------------- */

/* The work of one layer on one map. The texts are valid during the call that reports it. */
typedef struct mirnet_node {
  size_t struct_size;
  char const* name;      /* "body.0.body.1.conv"; "+" between layers that are computed as one */
  char const* operation; /* "conv 3x3+prelu": operations that are fused into it follow "+" */
  char const* kernel;    /* "winograd F(4x4,3x3)" */
  int64_t input_height, input_width, input_channels;
  int64_t output_height, output_width, output_channels;
  uint64_t macs;  /* multiply-accumulates of the network as written */
  int64_t bytes;  /* input, output and weights, each once */
  double seconds; /* the median over the runs */
} mirnet_node;

/* Runs the network `runs` times over one tile of the plan and reports each node, in their order, to
 * report(self, node). `progress` is as in mirnet_run_options. Errors: MIRNET_INVALID_ARGUMENT; MIRNET_MEMORY;
 * MIRNET_CANCELLED. */
MIRNET_API mirnet_status mirnet_profile(mirnet_plan const* plan, int32_t runs,
                                        void (*report)(void* self, mirnet_node const* node),
                                        int (*progress)(void* self, double done), void* self, mirnet_error* error);

#ifdef __cplusplus
}
#endif

#endif
