/* restore_ppm WEIGHTS.mirw INPUT.ppm OUTPUT.ppm
 *
 * Restores a photograph in the plainest of formats (binary PPM with 8 bits a sample) and says how far it is. Ctrl-C
 * ends it. Exit codes: 0, the library's mirnet_status, 3 for an input that cannot be read, 8 for an output that cannot
 * be written.
 */
#include <mirnet.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t interrupted = 0;

static void interrupt(int signal_number) {
  (void)signal_number;
  interrupted = 1;
}

static int progress(void* self, double done) {
  int* percent = self;
  if ((int)(100 * done) > *percent) {
    *percent = (int)(100 * done);
    fprintf(stderr, "\r%3d %%", *percent);
    fflush(stderr);
  }
  return interrupted;
}

/* Reads a number of a PPM's header, before which there may be comments; 0 where there is none. */
static int read_number(FILE* file, long* number) {
  int c;
  while ((c = fgetc(file)) == '#' || c == ' ' || c == '\n' || c == '\r' || c == '\t') {
    while (c == '#' && (c = fgetc(file)) != '\n' && c != EOF) c = '#';
  }
  return c != EOF && ungetc(c, file) != EOF && fscanf(file, "%5ld", number) == 1;
}

/* Reads the header of a binary PPM with 8 bits a sample; 0 where it is something else. */
static int read_header(FILE* file, long* width, long* height) {
  long white;
  if (fgetc(file) != 'P' || fgetc(file) != '6') return 0;
  if (!read_number(file, width) || !read_number(file, height) || !read_number(file, &white)) return 0;
  return fgetc(file) != EOF && white == 255 && *width > 0 && *height > 0;
}

/* An input that cannot be read, or that there is no memory for: prints why and returns NULL. */
static unsigned char* read_ppm(char const* path, mirnet_format* format) {
  long width, height;
  size_t bytes;
  unsigned char* samples = NULL;
  FILE* file = fopen(path, "rb");
  if (file == NULL) {
    fprintf(stderr, "%s: cannot be opened\n", path);
    return NULL;
  }
  if (!read_header(file, &width, &height)) {
    fprintf(stderr, "%s: is no binary PPM with 8 bits a sample\n", path);
    fclose(file);
    return NULL;
  }
  bytes = (size_t)width * (size_t)height * 3;
  samples = malloc(bytes);
  if (samples == NULL) {
    fprintf(stderr, "%s: cannot allocate %lu bytes\n", path, (unsigned long)bytes);
  } else if (fread(samples, 1, bytes, file) != bytes) {
    fprintf(stderr, "%s: ends before its last row\n", path);
    free(samples);
    samples = NULL;
  }
  fclose(file);
  format->width = width;
  format->height = height;
  format->channels = 3;
  format->type = MIRNET_U8;
  return samples;
}

static int write_ppm(char const* path, mirnet_format const* format, unsigned char const* samples) {
  size_t const bytes = (size_t)format->width * (size_t)format->height * 3;
  FILE* file = fopen(path, "wb");
  int written = file != NULL && fprintf(file, "P6\n%ld %ld\n255\n", (long)format->width, (long)format->height) > 0 &&
                fwrite(samples, 1, bytes, file) == bytes;
  if (file != NULL && fclose(file) != 0) written = 0;
  if (!written) fprintf(stderr, "%s: cannot be written\n", path);
  return written;
}

int main(int argc, char** argv) {
  mirnet_model* model = NULL;
  mirnet_plan* plan = NULL;
  mirnet_run_options options = MIRNET_RUN_OPTIONS_INIT;
  mirnet_format format;
  mirnet_error error;
  unsigned char *noisy, *clean = NULL;
  int percent = -1, result = 3;
  if (argc != 4) {
    fprintf(stderr, "usage: %s WEIGHTS.mirw INPUT.ppm OUTPUT.ppm\n", argv[0]);
    return MIRNET_INVALID_ARGUMENT;
  }
  noisy = read_ppm(argv[2], &format);
  if (noisy == NULL) return result;

  signal(SIGINT, interrupt);
  options.progress = progress;
  options.self = &percent;
  clean = malloc((size_t)format.width * (size_t)format.height * 3);
  if (clean == NULL) {
    fprintf(stderr, "cannot allocate the result\n");
    result = MIRNET_MEMORY;
  } else if (mirnet_model_load_file(argv[1], NULL, &model, &error) != MIRNET_OK ||
             mirnet_plan_create(model, &format, NULL, &plan, &error) != MIRNET_OK ||
             mirnet_run(plan, noisy, 0, clean, 0, &options, &error) != MIRNET_OK) {
    if (percent >= 0) fputc('\n', stderr);
    fprintf(stderr, "%s\n", error.message);
    result = error.status;
  } else {
    fputc('\n', stderr);
    result = write_ppm(argv[3], &format, clean) ? MIRNET_OK : 8;
  }
  mirnet_plan_free(plan);
  mirnet_model_free(model);
  free(clean);
  free(noisy);
  return result;
}
