// The loader of weight files. An input is the front of a file: header, table and names, and as much of the data as it
// has; three bytes before it say how the rest comes about and how the file is loaded. So inputs are small, and the
// interesting bytes are most of them.
//
//   0  the good file, of those below, that continues it
//   1  bit 0: continued up to the size that its header says; 1 to 3: the checksums of header and table, of the
//      tensors and of the metadata are made to fit; 4 and 5: the data is the good file's, zeros, or bytes of all ones
//   2  bits 0 to 1: from memory, from memory at an odd address, in place, from a file that ends early while it is
//      read; 2 to 7: where it ends
//
// The header's architecture says as which network a file is loaded: MIRNet, MIRNet-v2, or the test network Enlarge as
// one of the reader's own. The others refuse it.
//
// The mutator changes fields to values that are near the right one or at an end of their range, besides what libFuzzer
// does to bytes. An input that is too short for a header becomes the front of a good file: no seeds are needed.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include <mirnet/dispatch/kernel_sets.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>

#include "fuzz.hpp"
#include "support/enlarge.hpp"
#include "support/shrinking_source.hpp"
#include "support/weight_writer.hpp"

namespace {

using mirnet::Mirnet;
using mirnet::MirnetV2;
using mirnet::Model;
using test::Bytes;
using test::get;
using test::put;

constexpr std::size_t controls = 3, header_size = 128, entry_size = 64, largest_file = 1 << 20,
                      largest_tensor = 1 << 16;

std::vector<Bytes> const& good_files() {
  static auto const files = [] {
    std::vector<Bytes> list;
    constexpr test::Storage storages[] = {test::Storage::f32, test::Storage::bf16, test::Storage::f32_packed,
                                          test::Storage::bf16_packed};
    for (auto const storage : storages) {
      for (mirnet::MirnetConfig const& config :
           {mirnet::MirnetConfig{.features = 8, .groups = 1, .blocks = 1, .streams = 1, .columns = 1, .channels = 1},
            mirnet::MirnetConfig{.features = 9, .groups = 2, .blocks = 1, .streams = 1, .columns = 2, .channels = 3},
            mirnet::MirnetConfig{.features = 8, .groups = 1, .blocks = 1, .streams = 2, .columns = 1, .channels = 3}}) {
        list.push_back(test::make_weight_file(config, 1, storage));
      }
    }
    mirnet::MirnetConfig const cells{
        .features = 8, .groups = 1, .blocks = 1, .streams = 1, .columns = 1, .channels = 3, .unshuffle = 2};
    for (auto const storage : storages) list.push_back(test::make_weight_file(cells, 1, storage));
    for (auto const storage : storages) {
      list.push_back(test::make_weight_file({.width = 3, .channels_in = 2, .channels_out = 1}, storage));
    }
    // Few of MIRNet-v2: their checksums take ten times as long.
    mirnet::MirnetV2Config const second{.features = 16, .blocks = 1};
    mirnet::MirnetV2Config const of_views{
        .features = 16, .blocks = 1, .channels = 6, .bias = true, .adds_image = false};
    list.push_back(test::make_weight_file(second, 1, test::Storage::bf16));
    list.push_back(test::make_weight_file(second, 1, test::Storage::f32_packed));
    list.push_back(test::make_weight_file(of_views, 1, test::Storage::bf16_packed));
    return list;
  }();
  return files;
}

Bytes const& good_file(std::uint8_t control) { return good_files()[control % good_files().size()]; }

/// The bytes of a file from one offset to another, as far as there are any.
std::span<std::byte> part(Bytes& file, std::uint64_t first, std::uint64_t last) {
  last = std::min<std::uint64_t>(last, file.size());
  first = std::min(first, last);
  return std::span(file).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first));
}

/// Those of the tensor that an entry of the table describes, from some offset on.
std::span<std::byte> tensor_data(Bytes& file, std::size_t entry, std::uint64_t from = 0) {
  auto const offset = get<std::uint64_t>(file, entry + 24), size = get<std::uint64_t>(file, entry + 32);
  auto const cut = std::min<std::uint64_t>(size, largest_tensor);
  return part(file, std::max(offset, from), offset > ~cut ? ~std::uint64_t{0} : offset + cut);
}

/// The table's entries that are in the file, as offsets.
std::vector<std::size_t> entries(Bytes const& file) {
  std::vector<std::size_t> list;
  if (file.size() < header_size) return list;
  auto const count = get<std::uint32_t>(file, 72);
  for (std::size_t at = header_size; list.size() < count && at + entry_size <= file.size(); at += entry_size) {
    list.push_back(at);
  }
  return list;
}

/// The file that an input stands for.
Bytes make_file(std::uint8_t const* data, std::size_t size) {
  auto const front = fuzz::bytes(data + controls, size - controls);
  Bytes file(front.begin(), front.end());
  auto const bit = [&](unsigned i) { return (data[1] >> i & 1) != 0; };
  if (file.size() < header_size) return file;

  auto const stated = get<std::uint64_t>(file, 16);
  if (bit(0) && stated > file.size() && stated <= largest_file) {
    auto const& good = good_file(data[0]);
    auto const old = file.size();
    file.resize(static_cast<std::size_t>(stated));
    if (!bit(4) && !bit(5)) {
      if (old < good.size()) std::copy_n(good.data() + old, std::min(good.size(), file.size()) - old, &file[old]);
    } else if (bit(5)) {
      for (auto const at : entries(file)) std::ranges::fill(tensor_data(file, at, old), std::byte{0xFF});
    }
  }
  if (bit(2)) {
    for (auto const at : entries(file)) put(file, at + 44, test::crc32c(tensor_data(file, at)));
  }
  if (bit(3)) put(file, 68, test::crc32c(part(file, get<std::uint64_t>(file, 112), file.size())));
  auto const front_size = header_size + entry_size * std::uint64_t{get<std::uint32_t>(file, 72)};
  if (bit(1) && front_size + get<std::uint32_t>(file, 124) <= file.size()) test::repair_checksum(file);
  return file;
}

/// A model runs, whatever its numbers are.
template <class Net>
void run(Model<Net> const& model) {
  using T = typename Net::Scalar;
  static auto const* const set = mirnet::choose_kernel_set().value();
  mirnet::Context<T> context(*set->kernels_of<T>());
  auto const& config = model.config();
  auto const plan = model.plan(context, 3, 5).value();
  auto const memory = mirnet::Memory::allocate(plan.bytes).value();
  auto const needed = Model<Net>::bytes_needed(config, 3, 5, *context.kernels).value();
  fuzz::require(needed.run == plan.bytes, "the bytes of a run are known without the model");
  mirnet::Shape const shape{3, 5, Net::channels_in(config)}, result = Net::output_shape(config, shape);
  auto const floats = [](mirnet::Shape map) {
    return map.height * map.width * mirnet::pixel_pitch<float>(map.channels);
  };
  auto const pixels = mirnet::Memory::allocate((floats(shape) + floats(result)) * 4).value();
  auto* const image = reinterpret_cast<float*>(pixels.bytes().data());
  std::fill_n(image, floats(shape) + floats(result), 0.5f);
  model
      .run(context, plan, memory.bytes(), mirnet::View<float const>(image, shape),
           mirnet::View<float>(image + floats(shape), result))
      .value();
}

template <class Net>
void check(mirnet::Result<Model<Net>> const& model) {
  if (!model) {
    fuzz::require_sentence(model.error());
    fuzz::require(model.error().code() == mirnet::ErrorCode::model, "a weight file is refused as a model");
    return;
  }
  fuzz::require(Net::check(model->config()).ok(), "a model's hyper-parameters are in their ranges");
  fuzz::require(model->task() <= mirnet::last_task, "a model's task is one");
  run(*model);
}

template <class Net>
void load(Bytes const& file, unsigned how, unsigned where) {
  if (how == 0) {
    auto const model = Model<Net>::load(file);
    if (model)
      fuzz::require(model->bytes() == Model<Net>::bytes_needed(model->config()).value(), "a model's bytes are known");
    return check(model);
  }
  if (how == 1) {
    Bytes shifted(file.size() + 1);
    std::ranges::copy(file, shifted.begin() + 1);
    auto const model = Model<Net>::load(std::span(shifted).subspan(1));
    return fuzz::require(model.ok() == Model<Net>::load(file).ok(), "the address of a file does not matter");
  }
  if (how == 2) {
    auto const aligned = mirnet::Memory::allocate(static_cast<mirnet::Index>(file.size())).value();
    auto const begin = aligned.bytes().size() - (file.size() + 63) / 64 * 64;
    std::ranges::copy(file, aligned.bytes().begin() + static_cast<std::ptrdiff_t>(begin));
    auto const placed = aligned.bytes().subspan(begin, file.size());
    auto const model = Model<Net>::load_in_place(placed);
    if (model) fuzz::require(Model<Net>::load(file).ok(), "what can be used in place can be copied");
    return check(model);
  }
  auto const readable = file.size() * where / 64;  // where < 64
  test::ShrinkingSource source(file, readable);
  auto const model = Model<Net>::load(source);
  fuzz::require(!model.ok(), "a file that ends early is refused");
  check(model);
}

/// As the network of the file's architecture, with numbers of both types.
template <template <class> class Net, template <class> class... Others>
void load_as(Bytes const& file, unsigned how, unsigned where) {
  load<Net<float>>(file, how, where);
  load<Net<mirnet::bfloat16>>(file, how, where);
  fuzz::require(!(Model<Others<float>>::load(file).ok() || ...), "another network's file is refused");
}

// --- The mutator ---------------------------------------------------------------------------------------------------

struct Field {
  std::size_t offset, size;
};

constexpr Field header_fields[] = {{8, 2},  {10, 2}, {12, 4},  {16, 8},  {24, 4},  {28, 4}, {32, 4}, {36, 2}, {38, 2},
                                   {40, 2}, {42, 2}, {44, 2},  {46, 2},  {48, 2},  {50, 2}, {52, 2}, {54, 2}, {56, 2},
                                   {58, 2}, {60, 2}, {62, 2},  {64, 2},  {66, 2},  {68, 4}, {72, 4}, {76, 4}, {80, 8},
                                   {88, 8}, {96, 8}, {104, 8}, {112, 8}, {120, 4}, {124, 4}};
constexpr Field entry_fields[] = {{0, 4},  {4, 2},  {6, 1},  {7, 1},  {8, 4},  {12, 4}, {16, 4},
                                  {20, 4}, {24, 8}, {32, 8}, {40, 4}, {44, 4}, {48, 8}, {56, 8}};

template <class Random>
void change_field(std::uint8_t* at, std::size_t size, Random& random) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | at[i];
  std::uint64_t const steps[] = {1, 2, 8, 63, 64, 65, 128, 1024};
  auto const step = steps[random() % std::size(steps)];
  auto const top = std::uint64_t{1} << (8 * size - 1);
  switch (random() % 8) {
    case 0: value += step; break;
    case 1: value -= step; break;
    case 2: value = 0; break;
    case 3: value = ~std::uint64_t{0} - random() % 64; break;
    case 4: value = top - random() % 2; break;
    case 5: value ^= std::uint64_t{1} << random() % (8 * size); break;
    case 6: value *= 2; break;
    default: value = random() % 33; break;
  }
  for (std::size_t i = 0; i < size; ++i) at[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  std::minstd_rand random(seed);
  if (size < controls + header_size || random() % 256 == 0) {
    auto const number = static_cast<std::uint8_t>(random() % good_files().size());
    auto const& good = good_file(number);
    auto const front = std::min<std::size_t>(static_cast<std::size_t>(get<std::uint64_t>(good, 96)), most - controls);
    data[0] = number;
    data[1] = 0x0F;
    data[2] = static_cast<std::uint8_t>(random());
    std::memcpy(data + controls, good.data(), front);
    size = controls + front;
  }
  for (auto changes = 1 + random() % 3; changes > 0; --changes) {
    std::uint8_t* const file = data + controls;
    auto const tensors = (size - controls - header_size) / entry_size;
    switch (random() % 8) {
      case 0: size = std::max(LLVMFuzzerMutate(data, size, most), controls + header_size); break;
      case 1: data[random() % controls] = static_cast<std::uint8_t>(random()); break;
      case 2:
      case 3:
      case 4: {
        auto const field = header_fields[random() % std::size(header_fields)];
        change_field(file + field.offset, field.size, random);
        break;
      }
      default: {
        if (tensors == 0) break;
        auto const field = entry_fields[random() % std::size(entry_fields)];
        change_field(file + header_size + entry_size * (random() % tensors) + field.offset, field.size, random);
        break;
      }
    }
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size < controls) return 0;
  auto const file = make_file(data, size);
  auto const how = data[2] & 3u, where = static_cast<unsigned>(data[2] >> 2);
  switch (file.size() < header_size ? 1 : get<std::uint16_t>(file, 36)) {
    case 0: load_as<test::Enlarge, Mirnet, MirnetV2>(file, how, where); break;
    case 2: load_as<MirnetV2, Mirnet, test::Enlarge>(file, how, where); break;
    default: load_as<Mirnet, MirnetV2, test::Enlarge>(file, how, where); break;
  }
  return 0;
}
