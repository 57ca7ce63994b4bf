// mirnet denoise: a noisy photograph in, a clean one out. Whatever can go wrong before the long computation is found
// before it.
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

#include <mirnet/io/image_file.hpp>
#include <mirnet/io/restore.hpp>
#include <mirnet/runtime/thread_pool.hpp>

#include "commands.hpp"
#include "instruction_sets.hpp"
#include "weights.hpp"

namespace cli {
namespace {

struct Options {
  std::string input, output;
  WeightsOptions weights;
  std::optional<std::string> isa, reference;
  mirnet::Index threads = 0;
  std::string algorithm = "auto", precision = "fp32";
  bool overwrite = false;
  bool quiet = false;
};

/// A number of bytes that the system tells in a file of lines like "VmHWM:  1234 kB"; 0 where it does not.
double system_bytes(char const* path, char const* key) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> const file(std::fopen(path, "r"), std::fclose);
  std::string const format = std::string(key) + ": %lf kB";
  char line[256];
  double kibibytes = 0;
  while (file && std::fgets(line, sizeof line, file.get()) != nullptr) {
    if (std::sscanf(line, format.c_str(), &kibibytes) == 1) return kibibytes * 1024;
  }
  return 0;
}

/// The largest memory the process has held. (getrusage would count what ran in this process before exec.)
double peak_memory() { return system_bytes("/proc/self/status", "VmHWM"); }

/// Refuses a picture for which the memory is not there: the system would promise it all the same, and end the program
/// when it is used.
template <class T>
mirnet::Result<void> check_memory(mirnet::Model<T> const& model, mirnet::Context<T> const& context,
                                  mirnet::Image const& image) {
  auto const needed = mirnet::restoration_bytes(model, context, image);
  if (!needed) return needed.error();
  double const available = system_bytes("/proc/meminfo", "MemAvailable");
  if (available == 0 || static_cast<double>(*needed) <= available) return {};
  return mirnet::Error(mirnet::ErrorCode::memory,
                       "%lld x %lld pixels need %.0f MiB of memory, and %.0f MiB are free; make the picture smaller",
                       static_cast<long long>(image.width()), static_cast<long long>(image.height()),
                       static_cast<double>(*needed) / (1 << 20), available / (1 << 20));
}

struct Reference {
  mirnet::Image image;
  Likeness before;
};

mirnet::Result<Reference> read_reference(Options const& options, mirnet::Image const& input) {
  auto image = mirnet::read_image(options.reference->c_str());
  if (!image) return image.error();
  auto const before = compare_images(input, options.input, *image, *options.reference);
  if (!before) return before.error();
  return Reference{*std::move(image), *before};
}

/// All that the computation needs but the weights, checked.
struct Job {
  InstructionSet const* set;
  mirnet::Image input;
  mirnet::SampleType read, stored;
  std::optional<Reference> reference;
};

mirnet::Result<Job> prepare(Options const& options) {
  auto const set = choose_instruction_set(options.isa);
  if (!set) return set.error();
  if (options.precision == "bf16" && (*set)->bfloat16_kernels == nullptr) {
    return mirnet::Error(mirnet::ErrorCode::invalid_argument, "--precision bf16: there are no such kernels for %s",
                         (*set)->name);
  }
  auto const format = mirnet::output_format(options.output.c_str());
  if (!format) return format.error();
  auto input = mirnet::read_image(options.input.c_str());
  if (!input) return input.error();
  auto const encodable = mirnet::check_encodable(*input, *format, options.output.c_str());
  if (!encodable) return encodable.error();
  auto const writable = mirnet::check_writable(options.output.c_str(), options.overwrite);
  if (!writable) return writable.error();
  std::optional<Reference> reference;
  if (options.reference) {
    auto read = read_reference(options, *input);
    if (!read) return read.error();
    reference = *std::move(read);
  }
  auto const read = input->type();
  auto const stored = mirnet::stored_type(*format, read);
  if (stored == mirnet::SampleType::f32) {  // the file gets the network's floats, not 8 or 16 bits of them
    input = mirnet::convert_samples(*input, stored);
    if (!input) return input.error();
  }
  return Job{*set, *std::move(input), read, stored, std::move(reference)};
}

struct Run {
  double seconds;
  mirnet::Index threads;
};

void print(Options const& options, Job const& job, Run const& run) {
  auto const& image = job.input;
  static constexpr char const* depths[] = {"8 bits", "16 bits", "32-bit floats"};
  auto const depth = [](mirnet::SampleType type) { return depths[static_cast<int>(type)]; };
  std::printf("size              %lld x %lld, %lld channel%s of %s\n", static_cast<long long>(image.width()),
              static_cast<long long>(image.height()), static_cast<long long>(image.channels()),
              image.channels() == 1 ? "" : "s", depth(job.read));
  std::printf("time              %.3f s, %.3f megapixels/s\n", run.seconds,
              static_cast<double>(image.pixels()) * 1e-6 / run.seconds);
  if (double const peak = peak_memory(); peak > 0) std::printf("peak memory       %.1f MiB\n", peak / (1 << 20));
  std::printf("instruction set   %s\n", job.set->name);
  std::printf("threads           %lld\n", static_cast<long long>(run.threads));
  if (options.weights.quality != "standard") {
    std::printf("quality           %s\n", options.weights.quality.c_str());
  }
  if (options.algorithm == "direct") std::printf("algorithm         direct\n");
  if (options.precision == "bf16") std::printf("precision         bf16\n");
  if (mirnet::sample_bytes(job.stored) < mirnet::sample_bytes(job.read)) {
    std::printf("note              %s holds %s: the samples were rounded\n", options.output.c_str(), depth(job.stored));
  }
}

void print(Likeness const& before, Likeness const& after) {
  std::printf("PSNR              %s dB before, %s dB after\n", text(before.psnr, 2).c_str(),
              text(after.psnr, 2).c_str());
  std::printf("SSIM              %s before, %s after\n", text(before.ssim, 4).c_str(), text(after.ssim, 4).c_str());
}

template <class T>
mirnet::Result<void> denoise_in(Options const& options, Job const& job) {
  auto const file = find_weights(options.weights);
  if (!file) return file.error();
  auto const model = load_weights<T>(*file);
  if (!model) return model.error();
  mirnet::ThreadPool pool(options.threads);
  mirnet::Context<T> context(*job.set->kernels_of<T>(), pool);
  context.algorithm = options.algorithm == "direct" ? mirnet::Algorithm::direct : mirnet::Algorithm::automatic;
  auto const enough = check_memory(*model, context, job.input);
  if (!enough) return enough.error();
  auto const start = std::chrono::steady_clock::now();
  auto const restored = mirnet::restore(*model, job.input, context);
  std::chrono::duration<double> const time = std::chrono::steady_clock::now() - start;
  if (!restored) return restored.error();
  auto const written = mirnet::write_image(options.output.c_str(), *restored, {.overwrite = options.overwrite});
  if (!written || options.quiet) return written;

  print(options, job, Run{time.count(), pool.workers()});
  if (!job.reference) return {};
  auto const after = compare_images(*restored, options.output, job.reference->image, *options.reference);
  if (!after) return after.error();
  print(job.reference->before, *after);
  return {};
}

mirnet::Result<void> denoise(Options const& options) {
  auto const job = prepare(options);
  if (!job) return job.error();
  return options.precision == "bf16" ? denoise_in<mirnet::bfloat16>(options, *job) : denoise_in<float>(options, *job);
}

}  // namespace

void add_denoise(CLI::App& program, Action& action) {
  auto const options = std::make_shared<Options>();
  auto* const command = program.add_subcommand("denoise", "Remove the noise from a photograph");
  command->add_option("INPUT", options->input, "The photograph: PNG, JPEG, BMP, TGA, PGM, PPM or PFM")->required();
  command->add_option("OUTPUT", options->output, "The result: .png, .jpg, .bmp, .pgm, .ppm, .pnm or .pfm")->required();
  auto* const file =
      command->add_option("--weights", options->weights.file, "A weight file; without it, the weights of --quality");
  file->type_name("FILE.mirw");
  add_quality(*command, *file, options->weights);
  command->add_option("--threads", options->threads, "Threads to use, 1 to 1024; without it, all that the machine has")
      ->check(CLI::Range(mirnet::Index{1}, mirnet::Index{1024}))
      ->type_name("N");
  command->add_option("--isa", options->isa, "Instruction set to use: " + instruction_set_names(false))
      ->type_name("NAME");
  command
      ->add_option("--precision", options->precision,
                   "What weights and intermediate results are stored as: bf16 takes half of the memory")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->type_name("NAME");
  command
      ->add_option("--algorithm", options->algorithm,
                   "How to convolve: direct multiplies more than auto, and rounds a little less")
      ->check(CLI::IsMember({"auto", "direct"}))
      ->type_name("NAME");
  command->add_option("--reference", options->reference, "The same photograph without noise: print PSNR and SSIM")
      ->type_name("CLEAN");
  command->add_flag("--overwrite", options->overwrite, "Replace OUTPUT if it exists");
  command->add_flag("--quiet", options->quiet, "Print nothing but errors");
  command->callback([=, &action] { action = [=] { return denoise(*options); }; });
}

}  // namespace cli
