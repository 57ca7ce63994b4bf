// Chooses at run time among functions that are compiled for several instruction sets. CMake's mirnet_add_kernels()
// compiles a source once for each set, and MIRNET_ISA is the name of the set:
//
//   namespace app::MIRNET_ISA {  // scale.cpp
//   void scale(float* x, mirnet::Index count, float factor) noexcept { ... }
//   }
//
//   using Scale = void(float*, mirnet::Index, float) noexcept;  // anywhere else
//   #define DECLARE(set) namespace app::set { Scale scale; }
//   #define ROW(set) {#set, app::set::scale},
//   MIRNET_EACH_SET(DECLARE)
//   constexpr mirnet::ForSet<Scale*> scales[] = {MIRNET_EACH_SET(ROW)};
//   Scale* const scale = mirnet::choose_for_machine(scales).value();
//
// kernel_sets.hpp chooses among the library's own kernels in the same way.
#pragma once

#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include <mirnet/base/integer.hpp>
#include <mirnet/base/result.hpp>
#include <mirnet/config.hpp>
#include <mirnet/dispatch/machine.hpp>

// MIRNET_EACH_SET(macro) expands to macro(set) for each instruction set for which mirnet_add_kernels(TARGET ... SOURCES
// ...) compiles the target's sources, the best first. That function defines MIRNET_SOURCES_<SET> for each of them.
#if defined(MIRNET_SOURCES_AVX512BF16)
#define MIRNET_IF_AVX512BF16(macro) macro(avx512bf16)
#else
#define MIRNET_IF_AVX512BF16(macro)
#endif
#if defined(MIRNET_SOURCES_AVX512)
#define MIRNET_IF_AVX512(macro) macro(avx512)
#else
#define MIRNET_IF_AVX512(macro)
#endif
#if defined(MIRNET_SOURCES_AVX2)
#define MIRNET_IF_AVX2(macro) macro(avx2)
#else
#define MIRNET_IF_AVX2(macro)
#endif
#if defined(MIRNET_SOURCES_SSE2)
#define MIRNET_IF_SSE2(macro) macro(sse2)
#else
#define MIRNET_IF_SSE2(macro)
#endif
#define MIRNET_APPLY(macro, set) macro(set)
#if defined(MIRNET_SOURCES_NATIVE)
#define MIRNET_IF_NATIVE(macro) MIRNET_APPLY(macro, MIRNET_ISA)
#else
#define MIRNET_IF_NATIVE(macro)
#endif
#define MIRNET_EACH_SET(macro) \
  MIRNET_IF_AVX512BF16(macro)  \
  MIRNET_IF_AVX512(macro) MIRNET_IF_AVX2(macro) MIRNET_IF_SSE2(macro) MIRNET_IF_NATIVE(macro)

namespace mirnet::inline MIRNET_ABI {

/// Something that exists once for each instruction set, such as a pointer to a function.
template <class T>
struct ForSet {
  char const* set;
  T value;
};

namespace detail {

/// The text of a list in an error message; what does not fit is left out.
class Words {
 public:
  void append(std::string_view text) noexcept {
    std::size_t const room = sizeof text_ - 1 - size_, count = text.size() < room ? text.size() : room;
    std::memcpy(text_ + size_, text.data(), count);
    size_ += count;
    text_[size_] = '\0';
  }
  char const* c_str() const noexcept { return text_; }

 private:
  std::size_t size_ = 0;
  char text_[160] = {};
};

/// The i in [0, count) for which name_of(i) is the wanted name; without one, the first set that this machine has.
template <class NameOf>
Result<Index> choose_set(Index count, NameOf const& name_of, std::optional<std::string_view> wanted) noexcept {
  bool built_in = false;
  Words available;
  for (Index i = 0; i < count; ++i) {
    std::string_view const name = name_of(i);
    bool const is_wanted = !wanted || *wanted == name;
    built_in |= is_wanted;
    if (!machine_has(name)) continue;
    if (is_wanted) return i;
    if (*available.c_str() != '\0') available.append(", ");
    available.append(name);
  }
  if (count == 0) {
    return Error(ErrorCode::invalid_argument,
                 "no kernels are linked into this program; CMake's mirnet_add_kernels(TARGET) links them");
  }
  if (!wanted) {
    Words built;
    for (Index i = 0; i < count; ++i) {
      if (i > 0) built.append(", ");
      built.append(name_of(i));
    }
    return Error(ErrorCode::invalid_argument, "this machine has none of the instruction sets of this program: %s",
                 built.c_str());
  }
  Words name;
  name.append(*wanted);
  char const* const none = *available.c_str() == '\0' ? "none" : available.c_str();
  if (built_in) {
    return Error(ErrorCode::invalid_argument, "%s: this machine lacks that instruction set; available are: %s",
                 name.c_str(), none);
  }
  return Error(ErrorCode::invalid_argument, "%s: no instruction set of this program has that name; available are: %s",
               name.c_str(), none);
}

}  // namespace detail

/// The element of a list for the set with this name; without a name, for the first set that this machine has. Lists
/// have the best set first. Errors: invalid_argument, where the list or the machine lacks the set; the message names
/// the available sets.
template <class T>
Result<T> choose_for_machine(std::span<ForSet<T> const> list,
                             std::optional<std::string_view> name = std::nullopt) noexcept {
  auto const entry = [&](Index i) -> ForSet<T> const& { return list[static_cast<std::size_t>(i)]; };
  auto const chosen = detail::choose_set(
      static_cast<Index>(list.size()), [&](Index i) { return entry(i).set; }, name);
  if (!chosen) return chosen.error();
  return entry(*chosen).value;
}
template <class T, std::size_t count>
Result<T> choose_for_machine(ForSet<T> const (&list)[count],
                             std::optional<std::string_view> name = std::nullopt) noexcept {
  return choose_for_machine(std::span<ForSet<T> const>(list), name);
}

}  // namespace mirnet::inline MIRNET_ABI
