// Shapes, maps and the memory they live in.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <mirnet/tensor/arena.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "support/random.hpp"

using namespace mirnet;

namespace {

constexpr Index largest = std::numeric_limits<Index>::max();

bool aligned(void const* p) { return reinterpret_cast<std::uintptr_t>(p) % alignment_bytes == 0; }

}  // namespace

TEST_CASE("a pixel starts a line of 16 channels, or of 64 bytes if these hold fewer") {
  struct {
    Index channels, of_double, of_others;
  } const table[] = {{0, 0, 0}, {1, 8, 16}, {8, 8, 16}, {9, 16, 16}, {16, 16, 16}, {17, 24, 32}};
  for (auto const& row : table) {
    CAPTURE(row.channels);
    CHECK(pixel_pitch<double>(row.channels) == row.of_double);
    CHECK(pixel_pitch<float>(row.channels) == row.of_others);
    CHECK(pixel_pitch<bfloat16>(row.channels) == row.of_others);
    CHECK(pixel_pitch<std::uint8_t>(row.channels) == row.of_others);
  }
}

TEST_CASE("bytes of a map, or nothing where they cannot be counted") {
  CHECK(map_bytes<float>({2, 3, 5}) == 2 * 3 * 64);
  CHECK(map_bytes<double>({2, 3, 9}) == 2 * 3 * 128);
  CHECK(map_bytes<bfloat16>({2, 3, 5}) == 2 * 3 * 32);
  CHECK(map_bytes<bfloat16>({2, 3, 17}) == 2 * 3 * 64);
  CHECK(map_bytes<float>({0, 3, 5}) == 0);
  CHECK(map_bytes<float>({largest, 0, 5}) == 0);
  CHECK(map_bytes<float>({largest / 64, 1, 16}) == largest / 64 * 64);
  for (Shape const shape : {Shape{-1, 3, 5},
                            {2, -1, 5},
                            {2, 3, -1},
                            {-2, -3, 5},
                            {largest / 64 + 1, 1, 1},
                            {largest, largest, 1},
                            {1, 1, largest},
                            {1, 1, largest - 15},
                            {1 << 16, largest >> 16, 2}}) {
    INFO(shape.height, " x ", shape.width, " x ", shape.channels);
    CHECK(map_bytes<float>(shape) == std::nullopt);
    CHECK(Tensor<float>::create(shape).error().code() == ErrorCode::memory);
  }
}

TEST_CASE("memory that the machine does not have is an error") {
  if constexpr (sizeof(Index) > 4) {  // with 32 bits, whatever can be counted may be there
    constexpr Index side = Index{1} << (sizeof(Index) * 4 - 4);
    Shape const shape{side, side, 1};
    REQUIRE(map_bytes<float>(shape));
    CHECK(Tensor<float>::create(shape).error().code() == ErrorCode::memory);
  }
  CHECK(Memory::allocate(largest).error().code() == ErrorCode::memory);
}

TEST_CASE("a tensor is aligned and full of zeros, padding included") {
  for (Shape const shape : {Shape{1, 1, 1}, {3, 5, 17}, {0, 4, 8}, {4, 4, 0}}) {
    INFO(shape.height, " x ", shape.width, " x ", shape.channels);
    auto tensor = Tensor<float>::create(shape).value();
    auto const view = tensor.view();
    CHECK(tensor.shape() == shape);
    CHECK(aligned(view.data()));
    CHECK(std::all_of(view.data(), view.data() + view.pixels() * view.pitch(), [](float x) { return x == 0.0f; }));
  }
}

TEST_CASE("a tensor of a list of numbers") {
  auto map = Tensor<float>::of({1, 2, 3}, {1, 2, 3, 4, 5, 6}).value();
  CHECK(map.shape() == Shape{1, 2, 3});
  for (Index i = 0; i < 6; ++i) CHECK(map.view()(0, i / 3, i % 3) == static_cast<float>(i + 1));
  CHECK(std::count(map.view().data(), map.view().data() + 32, 0.0f) == 26);  // padding

  CHECK(Tensor<bfloat16>::of({1, 1, 2}, {1.5f, -2}).value().view()(0, 0, 1) == -2.0f);
  std::uint16_t const numbers[] = {7, 8};
  CHECK(Tensor<std::uint16_t>::of({2, 1, 1}, numbers).value().view()(1, 0, 0) == 8);
  CHECK(Tensor<float>::of({0, 4, 2}, {}).ok());

  for (auto const& wrong :
       {Tensor<float>::of({2, 3, 1}, {1, 2, 3, 4, 5}), Tensor<float>::of({2, 3, 1}, {1, 2, 3, 4, 5, 6, 7})}) {
    REQUIRE(!wrong.ok());
    CHECK(wrong.error().code() == ErrorCode::invalid_argument);
  }
  CHECK(std::string(Tensor<float>::of({2, 3, 1}, {1, 2}).error().message()) ==
        "2 numbers for 3x2 pixels of 1 channels, expected 6");
  CHECK(Tensor<float>::of({-1, -1, 1}, {1}).error().code() == ErrorCode::memory);
}

TEST_CASE("a tensor like another, and one that is not initialised") {
  auto const map = Tensor<float>::of({1, 2, 3}, {1, 2, 3, 4, 5, 6}).value();
  auto const same = Tensor<double>::like(map.view()).value();
  CHECK(same.shape() == map.shape());
  CHECK(same.view()(0, 1, 2) == 0.0);
  CHECK(Tensor<float>::like(crop(map.view(), 0, 1, 1, 1)).value().shape() == Shape{1, 1, 3});

  auto open = Tensor<float>::uninitialised({3, 2, 17}).value();
  CHECK(aligned(open.view().data()));
  for (Index i = 0; i < 6; ++i) {
    for (Index c = 17; c < 32; ++c) CHECK(open.view().data()[i * 32 + c] == 0.0f);
  }
  CHECK(Tensor<float>::uninitialised({largest, largest, 1}).error().code() == ErrorCode::memory);
  CHECK(Tensor<float>::uninitialised({0, 4, 8}).ok());
}

TEST_CASE("tensors move and do not copy") {
  static_assert(!std::is_copy_constructible_v<Tensor<float>> && !std::is_copy_assignable_v<Tensor<float>>);
  static_assert(std::is_nothrow_move_constructible_v<Tensor<float>> &&
                std::is_nothrow_move_assignable_v<Tensor<float>>);
  auto first = Tensor<float>::create({2, 2, 3}).value();
  first.view()(1, 1, 2) = 5.0f;
  float const* const place = first.view().data();
  Tensor<float> second = std::move(first);
  CHECK(second.view().data() == place);
  Tensor<float> third;
  CHECK(third.view().data() == nullptr);
  third = std::move(second);
  CHECK(std::as_const(third).view()(1, 1, 2) == 5.0f);
  CHECK(third.view().data() == place);
}

TEST_CASE("a view finds rows, pixels and channels") {
  std::vector<float> numbers(2 * 3 * 20);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  View<float> const view(numbers.data(), {2, 3, 5}, 20);
  CHECK(view.pixels() == 6);
  CHECK(view(0, 0, 0) == 0.0f);
  CHECK(view(1, 2, 4) == (1 * 3 + 2) * 20 + 4);
  CHECK(*view.row(1) == 60.0f);
  CHECK(*view.pixel(1, 1) == 80.0f);
  view(1, 2, 4) = -1.0f;
  CHECK(numbers[104] == -1.0f);
  CHECK(View<float>(numbers.data(), {1, 1, 5}).pitch() == 16);
}

TEST_CASE("a slice of channels has the map's pixels") {
  auto map = Tensor<float>::create({2, 3, 37}).value();
  auto const all = map.view();
  for (Index i = 0; i < all.pixels() * all.pitch(); ++i) all.data()[i] = static_cast<float>(i);
  auto const middle = channel_slice(all, 16, 16);
  CHECK(middle.shape() == Shape{2, 3, 16});
  CHECK(middle.pitch() == all.pitch());
  CHECK(middle(1, 2, 15) == all(1, 2, 31));
  View<float const> const last = channel_slice(std::as_const(map).view(), 32, 5);
  CHECK(last.channels() == 5);
  CHECK(last(0, 1, 4) == all(0, 1, 36));
  CHECK(channel_slice(View<float>(nullptr, {2, 3, 32}), 16, 16).data() == nullptr);
}

TEST_CASE("a view of numbers is a view of constants, not the reverse") {
  static_assert(std::is_convertible_v<View<float>, View<float const>>);
  static_assert(!std::is_convertible_v<View<float const>, View<float>>);
  static_assert(!std::is_convertible_v<View<float>, View<double const>>);
  static_assert(std::is_trivially_copyable_v<View<float>>);
  float number[20] = {};
  View<float const> const view = View<float>(number, {1, 1, 3}, 20);
  CHECK(view.data() == number);
  CHECK(view.pitch() == 20);
  CHECK(View<float>().data() == nullptr);
  CHECK(advance<float>(nullptr, 5) == nullptr);
  CHECK(advance(number, 5) == number + 5);
}

TEST_CASE("an arena places blocks at the lowest free offset that has room") {
  Arena arena = Arena::for_rehearsal();
  CHECK(arena.measuring());
  CHECK(arena.take(64) == 0);
  CHECK(arena.take(100) == 64);
  CHECK(arena.take(1) == 192);
  CHECK(arena.take(0) == 256);  // nothing has a place of its own
  CHECK(arena.live_blocks() == 4);
  arena.give_back(64);
  CHECK(arena.take(129) == 320);
  CHECK(arena.take(65) == 64);
  arena.give_back(0);
  arena.give_back(64);
  CHECK(arena.take(192) == 0);  // what was given back separately is one
  CHECK(arena.peak() == 512);
  CHECK(arena.at(64) == nullptr);
  for (Index const offset : {0, 192, 256, 320}) arena.give_back(offset);
  CHECK(arena.live_blocks() == 0);
  CHECK(arena.peak() == 512);
  CHECK(arena.take(512) == 0);
}

TEST_CASE("an arena can be filled to the last byte") {
  auto const memory = Memory::allocate(192).value();
  Arena arena(memory.bytes());
  CHECK(!arena.measuring());
  CHECK(arena.take(128) == 0);
  CHECK(arena.take(64) == 128);
  CHECK(arena.at(128) == memory.bytes().data() + 128);
  CHECK(arena.peak() == 192);
}

TEST_CASE("blocks never overlap, and measuring finds the same places") {
  struct Block {
    Index offset, size;
    std::byte mark;
  };
  auto const memory = Memory::allocate(1 << 20).value();
  Arena real(memory.bytes()), measuring = Arena::for_rehearsal();
  std::vector<Block> live;
  test::Random random(1);
  int overwritten = 0;
  for (int step = 0; step < 20000; ++step) {
    // Between crowded and empty, to and fro.
    bool const grow = random.between(0, 9) < (step / 500 % 2 == 0 ? 7 : 3);
    if (grow ? live.size() < 60 : live.empty()) {
      Index const size = random.between(0, 10) == 0 ? 0 : random.between(1, 10000);
      Index const offset = real.take(size);
      REQUIRE(measuring.take(size) == offset);
      REQUIRE(aligned(real.at(offset)));
      live.push_back({offset, size, static_cast<std::byte>(step)});
      std::fill_n(real.at(offset), size, live.back().mark);
    } else {
      auto const block = live.begin() + random.between(0, static_cast<Index>(live.size()) - 1);
      std::byte const* const first = real.at(block->offset);
      overwritten += std::any_of(first, first + block->size, [&](std::byte b) { return b != block->mark; });
      real.give_back(block->offset);
      measuring.give_back(block->offset);
      live.erase(block);
    }
    REQUIRE(real.live_blocks() == static_cast<Index>(live.size()));
  }
  CHECK(overwritten == 0);
  CHECK(real.peak() == measuring.peak());
}

TEST_CASE("a map of an arena gives its block back once, wherever it was moved to") {
  static_assert(!std::is_copy_constructible_v<ArenaMap<float>>);
  auto const memory = Memory::allocate(4096).value();
  Arena arena(memory.bytes());
  {
    ArenaMap<float> first(arena, {2, 3, 5});
    CHECK(first.shape() == Shape{2, 3, 5});
    CHECK(first.view().pitch() == 16);
    CHECK(static_cast<void*>(first.view().data()) == memory.bytes().data());
    ArenaMap<float> second(arena, {1, 1, 1});
    CHECK(arena.peak() == 2 * 3 * 64 + 64);

    ArenaMap<float> moved = std::move(first);
    CHECK(arena.live_blocks() == 2);
    CHECK(static_cast<void*>(moved.view().data()) == memory.bytes().data());
    moved = std::move(second);  // its own block goes, the other stays
    CHECK(arena.live_blocks() == 1);
    CHECK(moved.shape() == Shape{1, 1, 1});
    CHECK(static_cast<void*>(moved.view().data()) == memory.bytes().data() + 384);
    moved.release();
    CHECK(arena.live_blocks() == 0);
    moved.release();
    ArenaMap<float> empty;
    CHECK(empty.view().data() == nullptr);
    empty = ArenaMap<float>(arena, {1, 1, 1});
    CHECK(arena.live_blocks() == 1);
  }
  CHECK(arena.live_blocks() == 0);

  Arena measuring = Arena::for_rehearsal();
  ArenaMap<float> const map(measuring, {2, 3, 5});
  CHECK(View<float const>(map).data() == nullptr);
  CHECK(View<float>(map).shape() == Shape{2, 3, 5});
}
