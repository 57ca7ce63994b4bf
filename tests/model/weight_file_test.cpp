// Weight files: good ones load from anywhere, and everything else is refused with a sentence before memory is taken.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <string>

#include <mirnet/io/model_file.hpp>
#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/folder.hpp"
#include "support/kernel_tables.hpp"
#include "support/networks.hpp"
#include "support/schedulers.hpp"
#include "support/shrinking_source.hpp"
#include "support/slow.hpp"
#include "support/text.hpp"
#include "support/weight_writer.hpp"

namespace {

using mirnet::ErrorCode;
using mirnet::Mirnet;
using mirnet::MirnetV2;
using mirnet::MirnetV2Config;
using mirnet::Model;
using test::Bytes;
using test::contains;
using test::get;
using test::put;
using test::tiny;
using test::version_2;

/// The sentence with which a file is refused; fails the test if it is not refused as a model.
template <class Net = Mirnet<float>>
std::string refusal(Bytes const& file) {
  auto const model = Model<Net>::load(file);
  REQUIRE(!model.ok());
  CHECK(model.error().code() == ErrorCode::model);
  return model.error().message();
}

/// A file of which one thread reads at a time.
class OneReader final : public mirnet::ByteSource {
 public:
  explicit OneReader(Bytes const& file) : file_(file) {}
  std::uint64_t size() const noexcept override { return file_.size(); }
  bool read(std::uint64_t offset, std::span<std::byte> to) noexcept override {
    bool const alone = !reading_.exchange(true);
    bool const done = mirnet::MemorySource(file_).read(offset, to);
    reading_ = false;
    return alone && done;
  }

 private:
  Bytes const& file_;
  std::atomic<bool> reading_ = false;
};

/// The weights of a model as they lie in memory that held something else; what is behind them is left alone.
template <class T, class Config>
Bytes loaded(mirnet::ByteSource& source, Config const& config, mirnet::ParallelFor const& parallel) {
  using Net = typename test::NetworkOf<T, Config>::Type;
  auto const bytes = static_cast<std::size_t>(Model<Net>::bytes_needed(config).value());
  auto const owner = mirnet::Memory::allocate(static_cast<mirnet::Index>(bytes + 64 * 1024)).value();
  auto const memory = owner.bytes();
  std::ranges::fill(memory, std::byte{0xA5});
  Model<Net>::load(source, memory, parallel).value();
  CHECK(std::ranges::count(memory.subspan(bytes), std::byte{0xA5}) == 64 * 1024);
  auto const weights = memory.first(bytes).subspan(static_cast<std::size_t>(Net::structure_bytes(config)));
  return Bytes(weights.begin(), weights.end());
}

/// The same, as the packed file has them: all of its data but the slopes.
Bytes weights_of(Bytes const& packed_file) {
  Bytes weights;
  for (std::uint32_t i = 0; i < get<std::uint32_t>(packed_file, 72); ++i) {
    std::size_t const entry = 128 + std::size_t{64} * i;
    auto const from = packed_file.begin() + static_cast<std::ptrdiff_t>(get<std::uint64_t>(packed_file, entry + 24));
    auto const size = get<std::uint64_t>(packed_file, entry + 32);
    if (size > 4) weights.insert(weights.end(), from, from + static_cast<std::ptrdiff_t>((size + 63) / 64 * 64));
  }
  return weights;
}

}  // namespace

TEST_CASE("weights are the same bits in memory, whatever the file's arrangement, its source and the threads") {
  mirnet::ThreadPool pool(3);
  mirnet::ParallelFor const schedulers[] = {{}, pool, test::backwards(2), test::backwards(100)};
  test::Cases cases(3);
  auto const check_config = [&](auto const& config) {
    if (cases.next_is_left_out()) return;
    INFO(test::describe(config));
    auto const check = [&]<class T>(T, test::Storage storage, Bytes const& expected) {
      CAPTURE(static_cast<int>(storage));
      CAPTURE(sizeof(T));
      Bytes const file = test::make_weight_file(config, 1, storage);
      for (auto const& parallel : schedulers) {
        CAPTURE(parallel.workers);
        mirnet::MemorySource memory(file);
        CHECK(loaded<T>(memory, config, parallel) == expected);
        OneReader reader(file);
        CHECK(loaded<T>(reader, config, parallel) == expected);
      }
    };
    using test::Storage;
    if (std::endian::native == std::endian::little) {
      auto const floats = weights_of(test::make_weight_file(config, 1, Storage::f32_packed));
      check(float(), Storage::f32, floats);
      check(float(), Storage::f32_packed, floats);
      auto const halves = weights_of(test::make_weight_file(config, 1, Storage::bf16_packed));
      check(mirnet::bfloat16(), Storage::bf16, halves);
      check(mirnet::bfloat16(), Storage::bf16_packed, halves);
    }
    auto const as = [&]<class T>(T, Storage storage) {
      Bytes const file = test::make_weight_file(config, 1, storage);
      OneReader reader(file);
      return loaded<T>(reader, config, {});
    };
    check(float(), Storage::bf16_packed, as(float(), Storage::bf16));
    check(double(), Storage::bf16_packed, as(double(), Storage::bf16));
    check(double(), Storage::f32_packed, as(double(), Storage::f32));
    check(mirnet::bfloat16(), Storage::f32_packed, as(mirnet::bfloat16(), Storage::f32));
  };
  test::each_config(
      check_config, tiny,
      mirnet::MirnetConfig{.features = 9, .groups = 1, .blocks = 1, .streams = 4, .columns = 1, .channels = 2},
      // With tensors that several threads share, of whole lines, and with padding.
      mirnet::MirnetConfig{.features = 64, .groups = 1, .blocks = 1, .streams = 2, .columns = 1},
      mirnet::MirnetConfig{.features = 72, .groups = 1, .blocks = 1, .streams = 2, .columns = 1},
      // With biases and masks.
      test::two_views);
}

TEST_CASE("what is wrong in any thread's part of a tensor is found") {
  constexpr mirnet::MirnetConfig config{.features = 72, .groups = 1, .blocks = 1, .streams = 1, .columns = 1};
  for (auto const storage : {test::Storage::f32, test::Storage::f32_packed, test::Storage::bf16_packed}) {
    Bytes const good = test::make_weight_file(config, 1, storage);
    // The first tensor of 72 to 72 channels.
    std::size_t const entry = 128 + 64;
    auto const begin = static_cast<std::size_t>(get<std::uint64_t>(good, entry + 24));
    auto const size = static_cast<std::size_t>(get<std::uint64_t>(good, entry + 32));
    REQUIRE(size > 64 * 1024);
    auto const sentence = [&](Bytes const& file, std::uint64_t readable, mirnet::ParallelFor const& parallel) {
      test::ShrinkingSource source(file, readable);
      auto const model = Model<Mirnet<float>>::load(source, {}, parallel);
      return model ? std::string() : std::string(model.error().message());
    };
    for (auto const& parallel : {mirnet::ParallelFor{}, test::backwards(4)}) {
      CAPTURE(parallel.workers);
      CHECK(sentence(good, good.size(), parallel).empty());
      for (std::size_t at = begin; at < begin + size; at += 5003) {
        CAPTURE(at);
        Bytes file = good;
        file[at] ^= std::byte{0x10};
        bool const is_padding =
            storage != test::Storage::f32 && contains(sentence(file, file.size(), parallel), "zero");
        if (!is_padding) {
          CHECK(sentence(file, file.size(), parallel) ==
                "the data of body.0.body.0.blocks.0.0.body.0.weight does not match its checksum");
        }
        CHECK(sentence(file, at, parallel) == "the file cannot be read to its end");
      }
      if (storage == test::Storage::f32) continue;
      Bytes file = good;
      file[begin + size - 1] = std::byte{1};  // of a channel that does not exist
      put(file, entry + 44, test::crc32c(std::span(file).subspan(begin, size)));
      test::repair_checksum(file);
      CHECK(sentence(file, file.size(), parallel) ==
            "the weights of body.0.body.0.blocks.0.0.body.0.weight for channels that do not exist are not zero");
    }
  }
}

TEST_CASE("a good file loads from memory, at any address, from disk and into the caller's memory") {
  test::each_config(
      []<class Config>(Config const& config) {
        using Net = typename test::NetworkOf<float, Config>::Type;
        Bytes const file = test::make_weight_file(config);
        auto const model = Model<Net>::load(file).value();
        CHECK(model.config() == config);
        CHECK(model.bytes() == Model<Net>::bytes_needed(config).value());

        Bytes shifted(file.size() + 1);
        std::copy(file.begin(), file.end(), shifted.begin() + 1);
        CHECK(Model<Net>::load(std::span(shifted).subspan(1)).ok());

        test::Folder const folder;
        auto const path = folder / "weights";
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<char const*>(file.data()), static_cast<std::streamsize>(file.size()));
        CHECK(mirnet::load_model<Net>(path.c_str()).ok());
        CHECK(mirnet::load_model<typename test::NetworkOf<double, Config>::Type>(path.c_str()).ok());
        std::filesystem::remove(path);
        auto const missing = mirnet::load_model<Net>(path.c_str());
        REQUIRE(!missing.ok());
        CHECK(missing.error().code() == ErrorCode::model);
        CHECK(contains(missing.error().message(), path));

        auto const memory = mirnet::Memory::allocate(model.bytes()).value();
        mirnet::MemorySource source(file);
        CHECK(Model<Net>::load(source, memory.bytes()).ok());
        auto const refused = Model<Net>::load(source, memory.bytes().first(64));
        REQUIRE(!refused.ok());
        CHECK(refused.error().code() == ErrorCode::memory);
      },
      tiny, version_2, test::two_views);
}

TEST_CASE("every prefix is refused, and so is anything appended") {
  test::each_config(
      []<class Config>(Config const& config) {
        using Net = typename test::NetworkOf<float, Config>::Type;
        Bytes file = test::make_weight_file(config);
        // Every one of a small file.
        std::size_t const step = file.size() / 60000 + 1;
        for (std::size_t size = 0; size < file.size(); size += size < 8192 ? 1 : step) {
          CAPTURE(size);
          CHECK_FALSE(Model<Net>::load(std::span(file).first(size)).ok());
        }
        // Nor with a header that knows of it.
        for (std::size_t size = file.size() - 1; size >= 128;
             size -= std::min<std::size_t>(size, size < 8192 ? step : 61 * step)) {
          CAPTURE(size);
          Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
          put(cut, 16, std::uint64_t{size});
          if (size >= 128 + 64 * std::size_t{get<std::uint32_t>(file, 72)} + get<std::uint32_t>(file, 124)) {
            test::repair_checksum(cut);
          }
          CHECK(contains(refusal<Net>(cut), "is "));
        }
        file.push_back(std::byte{0});
        CHECK(contains(refusal<Net>(file), "its header says"));
        put(file, 16, std::uint64_t{file.size()});
        test::repair_checksum(file);
        CHECK(contains(refusal<Net>(file), "the end of the metadata"));
      },
      tiny, version_2);
}

TEST_CASE("a file that shrinks while it is read is refused") {
  test::each_config(
      []<class Config>(Config const& config) {
        Bytes const file = test::make_weight_file(config);
        for (std::uint64_t readable = 0; readable < file.size(); readable += 1009 + file.size() / 101) {
          CAPTURE(readable);
          test::ShrinkingSource source(file, readable);
          auto const model = test::ModelOf<float, Config>::load(source);
          REQUIRE(!model.ok());
          CHECK(contains(model.error().message(), "cannot be read to its end"));
        }
      },
      tiny, version_2);
}

TEST_CASE(
    "every flipped bit of the header is refused, and where the checksum was made to fit, those that mean something") {
  auto const check = []<class Config>(Config const& config, auto const&... free) {
    // What may differ besides the checksum: the upper half of the flags, which a reader may ignore.
    std::size_t const free_bits[] = {static_cast<std::size_t>(free)...};
    using Net = typename test::NetworkOf<float, Config>::Type;
    Bytes file = test::make_weight_file(config);
    auto const checksum = get<std::uint32_t>(file, 32);
    for (std::size_t bit = 0; bit < 8 * 128; ++bit) {
      CAPTURE(bit / 8);
      CAPTURE(bit % 8);
      auto const flip = [&] { file[bit / 8] ^= static_cast<std::byte>(1u << bit % 8); };
      flip();
      CHECK_FALSE(refusal<Net>(file).empty());
      // Checksums are only made of what is there.
      auto const last = 128 + 64 * std::uint64_t{get<std::uint32_t>(file, 72)} + get<std::uint32_t>(file, 124);
      if (last <= file.size()) {
        test::repair_checksum(file);
        bool const is_checksum = bit / 8 >= 32 && bit / 8 < 36, is_ignored = bit / 8 == 30 || bit / 8 == 31;
        bool const is_free = is_checksum || is_ignored || std::ranges::find(free_bits, bit) != std::end(free_bits);
        CHECK(Model<Net>::load(file).ok() == is_free);
        if (is_checksum) continue;
      }
      flip();
      put(file, 32, checksum);
    }
  };
  // An older minor version; the task; the number of columns, which share their weights.
  check(tiny, 10 * 8, 38 * 8, 52 * 8 + 1);
  // Tasks 0, 3 and 5.
  check(version_2, 38 * 8, 38 * 8 + 1, 38 * 8 + 2);
}

TEST_CASE("every altered byte of header, table, names and padding is refused") {
  test::each_config(
      []<class Config>(Config const& config) {
        Bytes file = test::make_weight_file(config);
        auto const data = static_cast<std::size_t>(test::get<std::uint64_t>(file, 96));
        for (std::size_t at = 0; at < data; ++at) {
          for (unsigned const flip : {0x01u, 0x80u}) {
            CAPTURE(at);
            file[at] ^= static_cast<std::byte>(flip);
            CHECK_FALSE(test::ModelOf<float, Config>::load(file).ok());
            file[at] ^= static_cast<std::byte>(flip);
          }
        }
      },
      tiny, version_2);
}

TEST_CASE("every altered byte of the data is refused") {
  test::each_config(
      []<class Config>(Config const& config) {
        Bytes file = test::make_weight_file(config);
        auto const data = static_cast<std::size_t>(test::get<std::uint64_t>(file, 96));
        for (std::size_t at = data; at < file.size(); at += std::max<std::size_t>(611, file.size() / 251)) {
          CAPTURE(at);
          file[at] ^= std::byte{0x10};
          std::string const sentence = refusal<typename test::NetworkOf<float, Config>::Type>(file);
          CHECK((contains(sentence, "does not match its checksum") || contains(sentence, "is not zero")));
          file[at] ^= std::byte{0x10};
        }
      },
      tiny, version_2);
}

namespace {

struct Mistake {
  char const* sentence;  // or a part of it
  std::function<void(Bytes&)> make;
};

/// Each in a file of its own, with a checksum that fits.
template <class Net>
void check_mistakes(Bytes const& good, std::span<Mistake const> mistakes) {
  for (auto const& mistake : mistakes) {
    Bytes file = good;
    mistake.make(file);
    if (test::get<std::uint32_t>(file, 72) < 1000) test::repair_checksum(file);
    std::string const sentence = refusal<Net>(file);
    CHECK_MESSAGE(contains(sentence, mistake.sentence), mistake.sentence << " is not in: " << sentence);
  }
}

}  // namespace

TEST_CASE("a wrong field is named, even where the checksum was made to fit") {
  auto const entry = std::size_t{128} + 64 * 3;
  Mistake const mistakes[] = {
      {"begins with other bytes", [](Bytes& f) { put(f, 0, std::uint8_t{0x88}); }},
      {"a newer program", [](Bytes& f) { put(f, 8, std::uint16_t{9}); }},
      {"a newer program", [](Bytes& f) { put(f, 10, std::uint16_t{999}); }},
      {"byte-order", [](Bytes& f) { put(f, 12, std::uint32_t{0x04030201}); }},
      {"its header says", [](Bytes& f) { put(f, 16, std::uint64_t{1} << 60); }},
      {"header's size", [](Bytes& f) { put(f, 24, std::uint32_t{64}); }},
      {"flags", [](Bytes& f) { put(f, 28, std::uint32_t{4}); }},
      {"weights of MIRNet-v2 (architecture 2), expected MIRNet (1)", [](Bytes& f) { put(f, 36, std::uint16_t{2}); }},
      {"architecture", [](Bytes& f) { put(f, 36, std::uint16_t{3}); }},
      {"task", [](Bytes& f) { put(f, 38, std::uint16_t{77}); }},
      {"output channels", [](Bytes& f) { put(f, 40, std::uint16_t{4}); }},
      {"output channels", [](Bytes& f) { put(f, 42, std::uint16_t{1}); }},
      {"channels is 0", [](Bytes& f) { put(f, 40, std::uint16_t{0}), put(f, 42, std::uint16_t{0}); }},
      {"features is 0", [](Bytes& f) { put(f, 44, std::uint16_t{0}); }},
      {"features is 65535", [](Bytes& f) { put(f, 44, std::uint16_t{65535}); }},
      {"the first dimension of conv_in", [](Bytes& f) { put(f, 44, std::uint16_t{16}); }},
      {"groups is 0", [](Bytes& f) { put(f, 46, std::uint16_t{0}); }},
      {"groups is 17", [](Bytes& f) { put(f, 46, std::uint16_t{17}); }},
      {"expected \"body.0.body.1.blocks.0.0.body.0.weight\"", [](Bytes& f) { put(f, 48, std::uint16_t{2}); }},
      {"blocks is 999", [](Bytes& f) { put(f, 48, std::uint16_t{999}); }},
      {"streams is 5", [](Bytes& f) { put(f, 50, std::uint16_t{5}); }},
      {"pad multiple", [](Bytes& f) { put(f, 50, std::uint16_t{3}); }},
      {"columns is 0", [](Bytes& f) { put(f, 52, std::uint16_t{0}); }},
      {"reduction", [](Bytes& f) { put(f, 54, std::uint16_t{16}); }},
      {"numerator", [](Bytes& f) { put(f, 56, std::uint16_t{3}); }},
      {"denominator", [](Bytes& f) { put(f, 58, std::uint16_t{0}); }},
      {"bias", [](Bytes& f) { put(f, 60, std::uint16_t{1}); }},
      {"scale", [](Bytes& f) { put(f, 62, std::uint16_t{4}); }},
      {"pad multiple", [](Bytes& f) { put(f, 64, std::uint16_t{4}); }},
      {"reserved", [](Bytes& f) { put(f, 66, std::uint16_t{1}); }},
      {"metadata", [](Bytes& f) { put(f, 68, std::uint32_t{1}); }},
      {"offset of the names", [](Bytes& f) { put(f, 72, std::uint32_t{0xFFFFFFFF}); }},
      {"alignment is 0", [](Bytes& f) { put(f, 76, std::uint32_t{0}); }},
      {"alignment is 1,", [](Bytes& f) { put(f, 76, std::uint32_t{1}); }},
      {"alignment is 48", [](Bytes& f) { put(f, 76, std::uint32_t{48}); }},
      {"alignment is 2147483648", [](Bytes& f) { put(f, 76, std::uint32_t{1} << 31); }},
      {"offset of the table", [](Bytes& f) { put(f, 80, std::uint64_t{64}); }},
      {"offset of the names", [](Bytes& f) { put(f, 88, std::uint64_t{0}); }},
      {"offset of the data", [](Bytes& f) { put(f, 96, ~std::uint64_t{63}); }},
      {"offset of the metadata", [](Bytes& f) { put(f, 104, ~std::uint64_t{0}); }},
      {"offset of the metadata", [](Bytes& f) { put(f, 104, ~std::uint64_t{0} - get<std::uint64_t>(f, 96)); }},
      {"offset of the metadata", [](Bytes& f) { put(f, 112, std::uint64_t{1}); }},
      {"end of the metadata", [](Bytes& f) { put(f, 120, std::uint32_t{0xFFFFFFFF}); }},
      {"the name of tensor 3 begins", [=](Bytes& f) { put(f, entry, std::uint32_t{0xFFFFFFFF}); }},
      {"the name of tensor 3 has 65535 bytes", [=](Bytes& f) { put(f, entry + 4, std::uint16_t{0xFFFF}); }},
      {"storage type", [=](Bytes& f) { put(f, entry + 6, std::uint8_t{3}); }},
      {"the size of", [=](Bytes& f) { put(f, entry + 6, std::uint8_t{1}); }},
      {"storage type", [=](Bytes& f) { put(f, entry + 6, std::uint8_t{255}); }},
      {"rank", [=](Bytes& f) { put(f, entry + 7, std::uint8_t{0}); }},
      {"rank", [=](Bytes& f) { put(f, entry + 7, std::uint8_t{5}); }},
      {"rank", [=](Bytes& f) { put(f, entry + 7, std::uint8_t{200}); }},
      {"first dimension",  // 2^64 values, which 64 bits count as none
       [=](Bytes& f) {
         for (std::size_t d = 0; d < 4; ++d) put(f, entry + 8 + 4 * d, std::uint32_t{1} << 16);
       }},
      {"first dimension", [=](Bytes& f) { put(f, entry + 8, std::uint32_t{0xFFFFFFFF}); }},
      {"fourth dimension", [=](Bytes& f) { put(f, entry + 20, std::uint32_t{0}); }},
      {"the offset of", [=](Bytes& f) { put(f, entry + 24, ~std::uint64_t{63}); }},
      {"the offset of", [=](Bytes& f) { put(f, entry + 24, std::uint64_t{f.size()}); }},
      {"the offset of", [=](Bytes& f) { put(f, entry + 24, get<std::uint64_t>(f, entry + 24) + 64); }},
      {"the offset of", [=](Bytes& f) { put(f, entry + 24, get<std::uint64_t>(f, entry - 64 + 24)); }},  // overlaps
      {"the size of", [=](Bytes& f) { put(f, entry + 32, ~std::uint64_t{0}); }},
      {"the size of", [=](Bytes& f) { put(f, entry + 32, ~std::uint64_t{0} - 10); }},  // which wraps when it is rounded
      {"the size of", [=](Bytes& f) { put(f, entry + 32, get<std::uint64_t>(f, entry + 32) - 4); }},
      {"the name of tensor 4 begins",  // the same name twice
       [=](Bytes& f) { std::copy_n(f.begin() + 128 + 64 * 3, 64, f.begin() + 128 + 64 * 4); }},
      {"tensor 0 is \"..?v_in.weight\", expected \"conv_in.weight\"",
       [=](Bytes& f) { std::memcpy(&f[static_cast<std::size_t>(get<std::uint64_t>(f, 88))], "../", 3); }},
      {"scale index", [=](Bytes& f) { put(f, entry + 40, std::uint32_t{0}); }},
      {"does not match its checksum", [=](Bytes& f) { put(f, entry + 44, std::uint32_t{0}); }},
      {"second reserved", [=](Bytes& f) { put(f, entry + 63, std::uint8_t{1}); }},
  };
  check_mistakes<Mirnet<float>>(test::make_weight_file(tiny), mistakes);
}

TEST_CASE("a wrong field of a file of MIRNet-v2 is named") {
  auto const with = [](std::size_t offset, int value) {
    return [=](Bytes& f) { put(f, offset, static_cast<std::uint16_t>(value)); };
  };
  auto const both = [](auto one, auto other) { return [=](Bytes& f) { one(f), other(f); }; };
  Mistake const mistakes[] = {
      {"the format version is 0.3", with(10, 3)},
      {"the format version is 0.5, this program reads 0.0 to 0.4", with(10, 5)},
      {"weights of a network of somebody's own (architecture 0), expected MIRNet-v2 (2)", with(36, 0)},
      {"weights of MIRNet (architecture 1), expected MIRNet-v2 (2)", with(36, 1)},
      {"weights of another network (architecture 3), expected MIRNet-v2 (2)", with(36, 3)},
      {"the task is 6, expected 0 to 5", with(38, 6)},
      {"channels is 1, expected 3, or 6 for two views", with(40, 1)},
      {"channels is 12, expected 3, or 6 for two views", with(40, 12)},
      {"channels is 6, two views: expected the task defocus", with(40, 6)},
      {"the second dimension of conv_in.weight is 3, expected 6", both(with(40, 6), with(38, 5))},
      {"the number of output channels is 6, expected 3", with(42, 6)},
      {"features is 0, expected a multiple of 16 from 16 to 512", with(44, 0)},
      {"features is 65535, expected a multiple of 16 from 16 to 512", with(44, 65535)},
      {"features is 24, expected a multiple of 16", with(44, 24)},
      {"the first dimension of conv_in.weight is 16, expected 32", with(44, 32)},
      {"the number of groups is 3, expected 4", with(46, 3)},
      {"blocks is 0, expected 1 to 16", with(48, 0)},
      {"blocks is 17, expected 1 to 16", with(48, 17)},
      {"expected \"body.0.body.1.dau_top.body.0.weight\"", with(48, 2)},
      {"the number of streams is 2, expected 3", with(50, 2)},
      {"the number of rounds is 3, expected 2", with(52, 3)},
      {"the reduction of fusion is 16, expected 8", with(54, 16)},
      {"the numerator of the channel factor is 2, expected 3", with(56, 2)},
      {"the denominator of the channel factor is 1, expected 2", with(58, 1)},
      {"bias is 2, expected 0 or 1", with(60, 2)},
      {"expected \"conv_in.bias\"", with(60, 1)},
      {"the scale is 2, expected 1", with(62, 2)},
      {"the pad multiple is 8, expected 4", with(64, 8)},
      {"unshuffle is 0, expected 1", with(66, 0)},
      {"unshuffle is 2, expected 1", with(66, 2)}};
  check_mistakes<MirnetV2<float>>(test::make_weight_file(version_2), mistakes);
  Mistake const of_biases[] = {
      {"tensor 1 is \"conv_in.bias\", expected \"body.0.body.0.dau_top.body.0.weight\"; the layer before has no bias",
       with(60, 0)}};
  check_mistakes<MirnetV2<float>>(test::make_weight_file(test::two_views), of_biases);
}

TEST_CASE("each network refuses the other's files") {
  CHECK(refusal<MirnetV2<float>>(test::make_weight_file(tiny)) ==
        "the file has weights of MIRNet (architecture 1), expected MIRNet-v2 (2)");
  CHECK(refusal<Mirnet<float>>(test::make_weight_file(version_2)) ==
        "the file has weights of MIRNet-v2 (architecture 2), expected MIRNet (1)");
  // Even where the rest of the header is the other's.
  Bytes file = test::make_weight_file(version_2);
  Bytes const other = test::make_weight_file({.features = 16, .groups = 4, .blocks = 1, .streams = 3, .columns = 2});
  std::copy_n(other.begin() + 36, 32, file.begin() + 36);
  put(file, 10, std::uint16_t{1});
  test::repair_checksum(file);
  CHECK(refusal<Mirnet<float>>(file) ==
        "tensor 1 is \"body.0.body.0.dau_top.body.0.weight\", expected \"body.0.body.0.blocks.0.0.body.0.weight\"");
}

TEST_CASE("MIRNet-v2 adds the image for all tasks but defocus") {
  Bytes file = test::make_weight_file(version_2);
  for (std::uint16_t task = 0; task <= 5; ++task) {
    CAPTURE(task);
    put(file, 38, task);
    test::repair_checksum(file);
    auto const model = Model<MirnetV2<float>>::load(file).value();
    CHECK(model.task() == static_cast<mirnet::Task>(task));
    CHECK(model.config().adds_image == (task != 5));
  }
  auto const two_views = Model<MirnetV2<float>>::load(test::make_weight_file(test::two_views)).value();
  CHECK(two_views.config() == test::two_views);
  CHECK(two_views.task() == mirnet::Task::defocus);
}

TEST_CASE("a file of version 0.3 says how its network sees the image, an older one does not") {
  for (auto const& config : test::unshuffled) {
    auto const model = Model<Mirnet<float>>::load(test::make_weight_file(config)).value();
    CHECK(model.config() == config);
    CHECK(Model<Mirnet<float>>::load(test::make_weight_file(config, 1, test::Storage::bf16_packed)).value().config() ==
          config);
  }
  // One channel, whose network fits the same tensors as one of four channels on single pixels.
  Bytes const good = test::make_weight_file(test::unshuffled[2]);
  Bytes file = good;
  put(file, 40, std::uint16_t{4}), put(file, 42, std::uint16_t{4}), put(file, 64, std::uint16_t{1});
  put(file, 66, std::uint16_t{1});
  test::repair_checksum(file);
  CHECK(Model<Mirnet<float>>::load(file).value().config() ==
        mirnet::MirnetConfig{.features = 8, .groups = 1, .blocks = 1, .streams = 1, .columns = 1, .channels = 4});

  Mistake const mistakes[] = {
      {"unshuffle is 0, expected 1, 2 or 4", [](Bytes& f) { put(f, 66, std::uint16_t{0}); }},
      {"unshuffle is 3, expected 1, 2 or 4", [](Bytes& f) { put(f, 66, std::uint16_t{3}); }},
      {"unshuffle is 65535, expected 1, 2 or 4", [](Bytes& f) { put(f, 66, std::uint16_t{65535}); }},
      {"the pad multiple is 2, expected 4", [](Bytes& f) { put(f, 66, std::uint16_t{4}); }},
      {"the pad multiple is 1, expected 2", [](Bytes& f) { put(f, 64, std::uint16_t{1}); }},
      {"the second dimension of conv_in.weight is 4, expected 16",
       [](Bytes& f) { put(f, 66, std::uint16_t{4}), put(f, 64, std::uint16_t{4}); }},
      {"the second dimension of conv_in.weight is 4, expected 1",
       [](Bytes& f) { put(f, 66, std::uint16_t{1}), put(f, 64, std::uint16_t{1}); }},
      {"the reserved field at byte 66 is 2, expected 0", [](Bytes& f) { put(f, 10, std::uint16_t{2}); }},
      {"the reserved field at byte 66 is 2, expected 0", [](Bytes& f) { put(f, 10, std::uint16_t{1}); }},
      {"the format version is 0.5, this program reads 0.0 to 0.4", [](Bytes& f) { put(f, 10, std::uint16_t{5}); }}};
  check_mistakes<Mirnet<float>>(good, mistakes);
  file = test::make_weight_file(tiny);
  put(file, 10, std::uint16_t{3});
  test::repair_checksum(file);
  CHECK(contains(refusal(file), "unshuffle is 0, expected 1, 2 or 4"));
}

TEST_CASE("a file of version 0.4 may have any task, an older one only the first two") {
  Bytes file = test::make_weight_file(test::unshuffled[2]);
  for (std::uint16_t minor = 1; minor <= 4; ++minor) {
    for (std::uint16_t task = 0; task < 8; ++task) {
      CAPTURE(minor);
      CAPTURE(task);
      put(file, 10, minor), put(file, 38, task);
      put(file, 66, std::uint16_t{minor < 3 ? std::uint16_t{0} : std::uint16_t{1}});
      put(file, 40, std::uint16_t{4}), put(file, 42, std::uint16_t{4}), put(file, 64, std::uint16_t{1});
      test::repair_checksum(file);
      if (task < (minor < 4 ? 2 : 6)) {
        auto const model = Model<Mirnet<float>>::load(file);
        REQUIRE(model.ok());
        CHECK(model.value().task() == static_cast<mirnet::Task>(task));
      } else {
        CHECK(refusal(file) == "the task is " + std::to_string(task) + ", expected " + (minor < 4 ? "1" : "0 to 5"));
      }
    }
  }
}

TEST_CASE("a file of one network under the hyper-parameters of another is refused") {
  mirnet::MirnetConfig const others[] = {
      {.features = 8, .groups = 1, .blocks = 1, .streams = 1, .columns = 1},
      {.features = 8, .groups = 1, .blocks = 2, .streams = 2, .columns = 1},
      {.features = 16, .groups = 1, .blocks = 1, .streams = 2, .columns = 1},
      {.features = 8, .groups = 1, .blocks = 1, .streams = 2, .columns = 1, .channels = 1}};
  for (auto const& other : others) {
    Bytes file = test::make_weight_file(other);
    put(file, 40, std::uint16_t{3}), put(file, 42, std::uint16_t{3}), put(file, 44, std::uint16_t{8});
    put(file, 48, std::uint16_t{1}), put(file, 50, std::uint16_t{2}), put(file, 64, std::uint16_t{2});
    test::repair_checksum(file);
    CHECK_FALSE(refusal(file).empty());
  }
  for (MirnetV2Config const& other :
       {MirnetV2Config{.features = 16, .blocks = 2}, MirnetV2Config{.features = 32, .blocks = 1},
        MirnetV2Config{.features = 16, .blocks = 1, .channels = 6, .adds_image = false},
        MirnetV2Config{.features = 16, .blocks = 1, .bias = true}}) {
    INFO(test::describe(other));
    Bytes file = test::make_weight_file(other);
    put(file, 38, std::uint16_t{1}), put(file, 40, std::uint16_t{3}), put(file, 44, std::uint16_t{16});
    put(file, 48, std::uint16_t{1}), put(file, 60, std::uint16_t{0});
    test::repair_checksum(file);
    CHECK_FALSE(refusal<MirnetV2<float>>(file).empty());
  }
}

TEST_CASE("the largest network in a small file is refused before memory is taken, and soon") {
  Bytes file = test::make_weight_file(tiny);
  put(file, 44, std::uint16_t{1024}), put(file, 46, std::uint16_t{16}), put(file, 48, std::uint16_t{16});
  put(file, 50, std::uint16_t{4}), put(file, 52, std::uint16_t{4}), put(file, 64, std::uint16_t{8});
  test::repair_checksum(file);
  CHECK(contains(refusal(file), "the first dimension of conv_in.weight is 8, expected 1024"));
  file = test::make_weight_file(version_2);
  put(file, 44, std::uint16_t{512}), put(file, 48, std::uint16_t{16});
  test::repair_checksum(file);
  CHECK(contains(refusal<MirnetV2<float>>(file), "the first dimension of conv_in.weight is 16, expected 512"));
}

TEST_CASE("a hole between tensors is refused, even where everything else fits") {
  Bytes file = test::make_weight_file(tiny);
  auto const entry = std::size_t{128} + 64 * 3;
  auto const hole = get<std::uint64_t>(file, entry + 24);
  file.insert(file.begin() + static_cast<std::ptrdiff_t>(hole), 64, std::byte{0});
  for (std::size_t i = 3; i < get<std::uint32_t>(file, 72); ++i) {
    put(file, 128 + 64 * i + 24, get<std::uint64_t>(file, 128 + 64 * i + 24) + 64);
  }
  for (std::size_t const offset : {16u, 104u, 112u}) put(file, offset, get<std::uint64_t>(file, offset) + 64);
  test::repair_checksum(file);
  CHECK(contains(refusal(file), "the offset of"));
}

TEST_CASE("weights that are no numbers do no harm") {
  auto const check = []<class Config>(Config const& config, float value) {
    CAPTURE(value);
    Bytes file = test::make_weight_file(config);
    for (std::size_t at = 128; at < get<std::uint64_t>(file, 88); at += 64) {
      auto const offset = static_cast<std::size_t>(get<std::uint64_t>(file, at + 24));
      auto const size = static_cast<std::size_t>(get<std::uint64_t>(file, at + 32));
      for (std::size_t i = 0; i < size; i += 4) put(file, offset + i, std::bit_cast<std::uint32_t>(value));
      put(file, at + 44, test::crc32c(std::span(file).subspan(offset, size)));
    }
    test::repair_checksum(file);
    auto const model = test::ModelOf<float, Config>::load(file).value();
    for (auto const* kernels : test::kernel_tables()) {
      mirnet::Context<float> context(*kernels);
      auto const plan = model.plan(context, 5, 7).value();
      auto const memory = mirnet::Memory::allocate(plan.bytes).value();
      auto const image = mirnet::Tensor<float>::create({5, 7, config.channels}).value();
      auto output = mirnet::Tensor<float>::create({5, 7, 3}).value();
      CHECK(model.run(context, plan, memory.bytes(), image.view(), output.view()).ok());
    }
  };
  for (float const value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::max()}) {
    check(tiny, value);
    check(test::two_views, value);
  }
}
