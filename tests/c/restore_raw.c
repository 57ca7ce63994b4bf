/* restore_raw WEIGHTS INPUT OUTPUT [NAME=VALUE...]
 *
 * Restores a picture of raw samples, for tests that compare the result with that of the program mirnet. INPUT and
 * OUTPUT hold rows from top to bottom, without a header and without gaps, in the machine's byte order. Numbers:
 *
 *   width height channels type   the format, as in mirnet_format
 *   precision algorithm          as in mirnet_model_options
 *   tile threads                 as in mirnet_plan_options
 *   strength keep_grain          in thousandths
 *   memory                       1: the run works in memory from here
 *
 * isa=NAME is the instruction set. right=FILE is the right view of two. Exit codes: the library's mirnet_status; 3, a
 * file that cannot be read or written.
 */
#include <mirnet.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { width, height, channels, type, precision, algorithm, tile, threads, strength, keep_grain, memory, number_count };

static char const* const names[number_count] = {"width", "height",  "channels", "type",       "precision", "algorithm",
                                                "tile",  "threads", "strength", "keep_grain", "memory"};

/* The value of NAME=VALUE, or NULL where the argument has another name. */
static char const* value_of(char const* argument, char const* name) {
  size_t const length = strlen(name);
  return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1 : NULL;
}

/* Exactly `size` bytes of a file, or NULL. */
static void* read_file(char const* path, size_t size) {
  FILE* file = fopen(path, "rb");
  void* bytes = malloc(size);
  if (file != NULL && bytes != NULL && fread(bytes, 1, size, file) == size && fgetc(file) == EOF) {
    fclose(file);
    return bytes;
  }
  fprintf(stderr, "%s: cannot be read, or has not %lu bytes\n", path, (unsigned long)size);
  if (file != NULL) fclose(file);
  free(bytes);
  return NULL;
}

static int write_file(char const* path, void const* bytes, size_t size) {
  FILE* file = fopen(path, "wb");
  int written = file != NULL && fwrite(bytes, 1, size, file) == size;
  if (file != NULL && fclose(file) != 0) written = 0;
  if (!written) fprintf(stderr, "%s: cannot be written\n", path);
  return written;
}

/* The first multiple of 64 in a block. */
static void* aligned(char* block) {
  uintptr_t const address = (uintptr_t)block;
  return block + (64 - address % 64) % 64;
}

int main(int argc, char** argv) {
  long numbers[number_count] = {0, 0, 3, MIRNET_U8, MIRNET_PRECISION_AUTO, MIRNET_ALGORITHM_AUTO, 0, 0, 1000, 0, 0};
  static size_t const bytes_of[] = {1, 2, 4};
  mirnet_model_options model_options = MIRNET_MODEL_OPTIONS_INIT;
  mirnet_plan_options plan_options = MIRNET_PLAN_OPTIONS_INIT;
  mirnet_run_options run_options = MIRNET_RUN_OPTIONS_INIT;
  mirnet_model* model = NULL;
  mirnet_plan* plan = NULL;
  mirnet_format format;
  mirnet_error error;
  char const *right_path = NULL, *value;
  void *input = NULL, *right = NULL, *output = NULL;
  char* block = NULL;
  size_t size;
  int i, number, result = 3;

  if (argc < 4) return MIRNET_INVALID_ARGUMENT;
  for (i = 4; i < argc; ++i) {
    int known = 0;
    for (number = 0; number < number_count; ++number) {
      value = value_of(argv[i], names[number]);
      if (value == NULL) continue;
      numbers[number] = strtol(value, NULL, 10);
      known = 1;
    }
    if ((value = value_of(argv[i], "isa")) != NULL) {
      model_options.instruction_set = value;
    } else if ((value = value_of(argv[i], "right")) != NULL) {
      right_path = value;
    } else if (!known) {
      fprintf(stderr, "%s: no such argument\n", argv[i]);
      return MIRNET_INVALID_ARGUMENT;
    }
  }
  if (numbers[type] < 0 || numbers[type] > 2) return MIRNET_INVALID_ARGUMENT;
  format.width = numbers[width];
  format.height = numbers[height];
  format.channels = (int32_t)numbers[channels];
  format.type = (int32_t)numbers[type];
  model_options.precision = (int32_t)numbers[precision];
  model_options.algorithm = (int32_t)numbers[algorithm];
  plan_options.tile = (int32_t)numbers[tile];
  plan_options.threads = (int32_t)numbers[threads];
  run_options.strength = (float)numbers[strength] / 1000;
  run_options.keep_grain = (float)numbers[keep_grain] / 1000;

  size = (size_t)numbers[width] * (size_t)numbers[height] * (size_t)numbers[channels] * bytes_of[numbers[type]];
  input = read_file(argv[2], size);
  output = malloc(size);
  if (right_path != NULL) right = read_file(right_path, size);
  if (input == NULL || output == NULL || (right_path != NULL && right == NULL)) goto done;
  run_options.right_view = right;

  if (mirnet_model_load_file(argv[1], &model_options, &model, &error) != MIRNET_OK ||
      mirnet_plan_create(model, &format, &plan_options, &plan, &error) != MIRNET_OK) {
    goto failed;
  }
  if (numbers[memory] != 0) {
    run_options.memory_size = mirnet_plan_memory(plan);
    block = malloc(run_options.memory_size + 63);
    if (block == NULL) goto done;
    run_options.memory = aligned(block);
  }
  if (mirnet_run(plan, input, 0, output, 0, &run_options, &error) != MIRNET_OK) goto failed;
  if (write_file(argv[3], output, size)) result = MIRNET_OK;
  goto done;

failed:
  fprintf(stderr, "%s\n", error.message);
  result = error.status;
done:
  mirnet_plan_free(plan);
  mirnet_model_free(model);
  free(block);
  free(output);
  free(right);
  free(input);
  return result;
}
