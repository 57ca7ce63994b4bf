// Packed weight files: used where they lie they give the bits that copies give, and what cannot be used there is
// refused with a sentence that says what has to be different.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <string>

#include <mirnet/model/model.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/kernel_tables.hpp"
#include "support/maps.hpp"
#include "support/networks.hpp"
#include "support/slow.hpp"
#include "support/text.hpp"

namespace {

using Config = mirnet::MirnetConfig;
using mirnet::Context;
using mirnet::Index;
using mirnet::Memory;
using mirnet::Mirnet;
using mirnet::Model;
using mirnet::Tensor;
using test::Bytes;
using test::contains;
using test::put;
using test::Storage;
using test::tiny;

/// A file at a multiple of 64, as an array in a program is, and `shift` bytes behind it.
class Placed {
 public:
  explicit Placed(Bytes const& file, std::size_t shift = 0)
      : memory_(Memory::allocate(static_cast<Index>(file.size() + shift)).value()), size_(file.size()), shift_(shift) {
    std::copy(file.begin(), file.end(), memory_.bytes().begin() + static_cast<std::ptrdiff_t>(shift));
  }
  std::span<std::byte const> bytes() const { return memory_.bytes().subspan(shift_, size_); }

 private:
  Memory memory_;
  std::size_t size_, shift_;
};

template <class Net>
Tensor<float> run(Model<Net> const& model, mirnet::KernelTable<typename Net::Scalar> const& kernels) {
  auto const image = test::make_image<float>({10, 13, model.config().channels});
  Context<typename Net::Scalar> context(kernels);
  return test::run(model, context, image.view());
}

bool same_bits(Tensor<float> const& a, Tensor<float> const& b) { return test::same_bits(a.view(), b.view()); }

// Files have the lowest byte first.
constexpr bool can_be_in_place = std::endian::native == std::endian::little;

/// The sentence with which a file is refused in place, though it can be copied.
template <class Net>
std::string refusal(Placed const& file) {
  CHECK(Model<Net>::load(file.bytes()).ok());
  auto const model = Model<Net>::load_in_place(file.bytes());
  REQUIRE(!model.ok());
  CHECK(model.error().code() == mirnet::ErrorCode::model);
  return model.error().message();
}

/// Each way to have the weights, with each of T's tables.
template <class T, class NetConfig, class EachTable>
void compare(NetConfig const& config, Storage plain, Storage packed, EachTable&& each_table) {
  using Net = typename test::NetworkOf<T, NetConfig>::Type;
  Bytes const plain_file = test::make_weight_file(config, 1, plain);
  Placed const packed_file(test::make_weight_file(config, 1, packed));
  if (!can_be_in_place) {
    CHECK(contains(refusal<Net>(packed_file), "can only be copied here"));
    return;
  }
  auto const needed = Net::structure_bytes(config);
  auto const memory = Memory::allocate(needed).value();
  auto const copied = Model<Net>::load(plain_file).value();
  auto const copied_from_packed = Model<Net>::load(packed_file.bytes()).value();
  auto const in_place = Model<Net>::load_in_place(packed_file.bytes(), memory.bytes()).value();
  auto const in_own_memory = Model<Net>::load_in_place(packed_file.bytes()).value();
  CHECK(in_place.bytes() == needed);
  CHECK(in_place.bytes() < copied.bytes());
  CHECK(copied_from_packed.bytes() == copied.bytes());
  CHECK(in_place.parameters() == copied.parameters());
  CHECK(in_place.config() == config);
  each_table([&](mirnet::KernelTable<T> const& kernels) {
    INFO(std::string(kernels.isa) << ", " << test::describe(config));
    auto const expected = run(copied, kernels);
    CHECK(same_bits(run(in_place, kernels), expected));
    CHECK(same_bits(run(in_own_memory, kernels), expected));
    CHECK(same_bits(run(copied_from_packed, kernels), expected));
  });
  auto const refused = Model<Net>::load_in_place(packed_file.bytes(), memory.bytes().first(memory.bytes().size() - 64));
  REQUIRE(!refused.ok());
  CHECK(refused.error().code() == mirnet::ErrorCode::memory);
}

/// Refused by both ways to load it; the sentence of the second.
template <class Net>
std::string refused_twice(Bytes const& file) {
  Placed const placed(file);
  CHECK_FALSE(Model<Net>::load(placed.bytes()).ok());
  auto const model = Model<Net>::load_in_place(placed.bytes());
  CHECK_FALSE(model.ok());
  return model.ok() ? "" : model.error().message();
}

}  // namespace

TEST_CASE("weights in place give the same bits as copies, on every instruction set") {
  test::Cases cases(4);
  test::each_config(
      [&](auto const& config) {
        if (cases.next_is_left_out() || (test::slow && config.features > 16)) return;
        compare<float>(config, Storage::f32, Storage::f32_packed, [](auto&& body) {
          for (auto const* kernels : test::kernel_tables()) body(*kernels);
        });
        compare<mirnet::bfloat16>(config, Storage::bf16, Storage::bf16_packed, [](auto&& body) {
          for (auto const& set : test::bfloat16_tables()) body(*set.halves);
        });
      },
      tiny, Config{.features = 16, .groups = 1, .blocks = 2},
      Config{.features = 40, .groups = 2, .blocks = 1, .streams = 3, .columns = 1, .channels = 1},
      Config{.features = 9, .groups = 1, .blocks = 1, .streams = 4, .columns = 2, .channels = 2}, test::two_views,
      test::unshuffled[0], test::unshuffled[1], test::version_2,
      // Groups of the convolutions begin in the middle of lines.
      mirnet::MirnetV2Config{.features = 80, .blocks = 1});
}

TEST_CASE("packed files load into models of any type") {
  test::each_config(
      []<class NetConfig>(NetConfig const& config) {
        using Floats = test::ModelOf<float, NetConfig>;
        for (auto const storage : {Storage::f32_packed, Storage::bf16_packed}) {
          Bytes const packed = test::make_weight_file(config, 1, storage);
          Bytes const plain =
              test::make_weight_file(config, 1, storage == Storage::f32_packed ? Storage::f32 : Storage::bf16);
          auto const& kernels = *test::kernel_tables().front();
          CHECK(same_bits(run(Floats::load(packed).value(), kernels), run(Floats::load(plain).value(), kernels)));
          CHECK(test::ModelOf<double, NetConfig>::load(packed).ok());
          CHECK(test::ModelOf<mirnet::bfloat16, NetConfig>::load(packed).ok());
        }
      },
      tiny, test::two_views);
}

TEST_CASE("what cannot be used in place is refused with what has to be different") {
  if (!can_be_in_place) return;  // for another reason
  test::each_config(
      []<class NetConfig>(NetConfig const& config) {
        using Floats = typename test::NetworkOf<float, NetConfig>::Type;
        using Halves = typename test::NetworkOf<mirnet::bfloat16, NetConfig>::Type;
        Placed const plain(test::make_weight_file(config));
        CHECK(contains(refusal<Floats>(plain), "--dtype f32 --layout packed"));
        CHECK(contains(refusal<Halves>(plain), "--dtype bf16 --layout packed"));
        Placed const packed(test::make_weight_file(config, 1, Storage::f32_packed));
        CHECK(contains(refusal<Halves>(packed), "conv_in.weight is stored as f32; to be used in place it is bf16"));
        Placed const narrow(test::make_weight_file(config, 1, Storage::bf16_packed));
        CHECK(contains(refusal<Floats>(narrow), "conv_in.weight is stored as bf16; to be used in place it is f32"));
        Placed const shifted(test::make_weight_file(config, 1, Storage::f32_packed), 4);
        CHECK(contains(refusal<Floats>(shifted), "lies 4 bytes behind a multiple of 64"));
        CHECK_FALSE(Model<Floats>::load_in_place({}).ok());
      },
      tiny, test::version_2);
}

TEST_CASE("every prefix and every altered byte of a packed file is refused") {
  test::each_config(
      []<class NetConfig>(NetConfig const& config) {
        using Net = typename test::NetworkOf<float, NetConfig>::Type;
        Bytes const good = test::make_weight_file(config, 1, Storage::f32_packed);
        Placed placed(good);
        REQUIRE(Model<Net>::load_in_place(placed.bytes()).ok() == can_be_in_place);
        auto const data = static_cast<std::size_t>(test::get<std::uint64_t>(good, 96));
        auto const step = std::max<std::size_t>(611, good.size() / (test::slow ? 51 : 251));
        for (std::size_t size = 0; size < good.size(); size += size < data ? 13 : 2 * step) {
          CAPTURE(size);
          CHECK_FALSE(Model<Net>::load_in_place(placed.bytes().first(size)).ok());
        }
        for (std::size_t at = 0; at < good.size(); at += at < data ? 1 : step) {
          CAPTURE(at);
          auto& byte = const_cast<std::byte&>(placed.bytes()[at]);
          byte ^= std::byte{0x10};
          CHECK_FALSE(Model<Net>::load_in_place(placed.bytes()).ok());
          CHECK_FALSE(Model<Net>::load(placed.bytes()).ok());
          byte ^= std::byte{0x10};
        }
      },
      tiny, test::version_2);
}

namespace {

/// The table's first entry of a packed tensor whose last line has channels that do not exist.
std::size_t entry_with_padding(Bytes const& file) {
  for (std::size_t entry = 128;; entry += 64) {
    REQUIRE(entry < test::get<std::uint64_t>(file, 88));
    auto const dim = [&](std::size_t d) { return std::size_t{test::get<std::uint32_t>(file, entry + 8 + 4 * d)}; };
    std::size_t const lines = (dim(0) + 15) / 16, size = 64 * lines * dim(1) * dim(2) * dim(3);
    if (dim(0) % 16 != 0 && size == test::get<std::uint64_t>(file, entry + 32)) return entry;
  }
}

}  // namespace

TEST_CASE("a wrong field of a packed file is named, even where the checksum was made to fit") {
  test::each_config(
      []<class NetConfig>(NetConfig const& config) {
        using Net = typename test::NetworkOf<float, NetConfig>::Type;
        Bytes const good = test::make_weight_file(config, 1, Storage::f32_packed);
        auto const altered = [&](auto&& alter) {
          Bytes file = good;
          alter(file);
          test::repair_checksum(file);
          return refused_twice<Net>(file);
        };
        CHECK(contains(altered([](Bytes& f) { put(f, 10, std::uint16_t{1}); }), "the flags are 0x00000001"));
        CHECK(contains(altered([](Bytes& f) { put(f, 10, std::uint16_t{5}); }), "a newer program"));
        CHECK(contains(altered([](Bytes& f) { put(f, 28, std::uint32_t{3}); }), "the flags are 0x00000003"));
        CHECK(contains(altered([](Bytes& f) { put(f, 28, std::uint32_t{0}); }), "the size of "));
        // Lines of up to 16 channels are as long in either type: 16 of 4 bytes, 32 of 2.
        CHECK(contains(altered([](Bytes& f) { put(f, 128 + 6, std::uint8_t{2}); }),
                       can_be_in_place ? "conv_in.weight is stored as bf16" : "copied here"));
        CHECK(contains(altered([](Bytes& f) { put(f, 128 + 32, std::uint64_t{1} << 40); }),
                       "the size of conv_in.weight is"));
        CHECK(contains(altered([](Bytes& f) { put(f, 128 + 44, std::uint32_t{0}); }),
                       can_be_in_place ? "does not match its checksum" : "copied here"));
        // A weight of a channel that does not exist, and the same for the bits of -0.
        std::size_t const entry = entry_with_padding(good);
        for (std::uint32_t const bits : {0x3F800000u, 0x80000000u}) {
          CHECK(contains(altered([&](Bytes& f) {
                           auto const data = static_cast<std::size_t>(test::get<std::uint64_t>(f, entry + 24));
                           auto const size = static_cast<std::size_t>(test::get<std::uint64_t>(f, entry + 32));
                           put(f, data + size - 4, bits);
                           put(f, entry + 44, test::crc32c(std::span(f).subspan(data, size)));
                         }),
                         can_be_in_place ? "for channels that do not exist are not zero" : "copied here"));
        }
        // Bits that a reader may ignore.
        Bytes file = good;
        put(file, 28, std::uint32_t{0x80000001});
        test::repair_checksum(file);
        CHECK(Model<Net>::load(file).ok());
        CHECK(Model<Net>::load_in_place(Placed(file).bytes()).ok() == can_be_in_place);
      },
      tiny, test::version_2);
}
