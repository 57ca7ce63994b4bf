// Reading a weight file (weights/README.md specifies it). A file is compared with what its network asks for,
// field by field and tensor by tensor, before any memory is taken for it; its data is then streamed, so that a file
// and its packed copy are never in memory together, or, where it is packed already, used where it lies.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>

#include <mirnet/base/bit_cast.hpp>
#include <mirnet/base/crc32c.hpp>
#include <mirnet/base/half.hpp>
#include <mirnet/base/name.hpp>
#include <mirnet/base/result.hpp>
#include <mirnet/layers/parameter.hpp>
#include <mirnet/model/byte_source.hpp>
#include <mirnet/model/task.hpp>
#include <mirnet/runtime/parallel.hpp>

namespace mirnet::inline MIRNET_ABI {

/// How a tensor's elements are stored.
enum class StorageType : std::uint8_t { f32 = 0, f16 = 1, bf16 = 2 };

/// As weights/convert.py calls it.
constexpr char const* name_of(StorageType type) noexcept {
  return type == StorageType::f32 ? "f32" : type == StorageType::f16 ? "f16" : "bf16";
}

namespace detail {

inline constexpr std::uint64_t weight_header_size = 128, weight_entry_size = 64, weight_alignment = 64;
inline constexpr unsigned char weight_magic[8] = {0x89, 'M', 'I', 'R', 'W', '\r', '\n', 0x1A};
inline constexpr unsigned weight_major = 0, weight_minor = 4;
inline constexpr std::uint32_t weights_are_packed = 1;  // a flag, since 0.2

/// An unsigned little-endian number at an offset of some bytes.
template <class Unsigned>
Unsigned little_endian(std::span<std::byte const> bytes, std::size_t offset) noexcept {
  Unsigned value = 0;
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  }
  for (std::size_t i = sizeof(Unsigned); i-- > 0;) {
    value = static_cast<Unsigned>(value << 8 | std::to_integer<Unsigned>(bytes[offset + i]));
  }
  return value;
}

inline Error wrong_field(char const* field, std::uint64_t found, std::uint64_t expected) noexcept {
  return Error(ErrorCode::model, "%s is %llu, expected %llu", field, static_cast<unsigned long long>(found),
               static_cast<unsigned long long>(expected));
}

}  // namespace detail

/// What a weight file's header says of its network, for the network to check: fields of 16 bits, at their offsets in
/// the file (weights/README.md).
class WeightHeader {
 public:
  /// A file has this many numbers for a network of your own, which alone understands them: sizes, for instance.
  static constexpr int numbers = 12;

  WeightHeader(std::span<std::byte const> header) noexcept : header_(header) {}

  Index field(std::size_t offset) const noexcept {
    return static_cast<Index>(detail::little_endian<std::uint16_t>(header_, offset));
  }
  /// Of the format, whose major version is 0.
  Index minor_version() const noexcept { return field(10); }
  /// 0: a network of your own; 1: MIRNet; 2: MIRNet-v2.
  Index architecture() const noexcept { return field(36); }
  Task task() const noexcept { return static_cast<Task>(field(38)); }
  /// The channels of images; 0 if the file of a network of your own does not state them.
  Index channels_in() const noexcept { return field(40); }
  Index channels_out() const noexcept { return field(42); }
  /// The i-th number of a network of your own, as given to weights/convert.py by --numbers; 0 if it was not.
  Index number(int i) const noexcept {
    MIRNET_ASSERT(i >= 0 && i < numbers);
    return field(number_offset(i));
  }

  /// Errors: model, where the file is of another network.
  Result<void> expect_architecture(Index expected) const noexcept {
    if (architecture() == expected) return {};
    return Error(ErrorCode::model, "the file has weights of %s (architecture %lld), expected %s (%lld)",
                 name_of_network(architecture()), static_cast<long long>(architecture()), name_of_network(expected),
                 static_cast<long long>(expected));
  }

  /// The first check of a network of your own. Errors: model, where the file is of one of the library's networks, or of
  /// a version that has no others.
  Result<void> expect_own_network() const noexcept {
    if (architecture() != 0) {
      return Error(ErrorCode::model, "the file has weights of %s (architecture %u), expected a network of your own (0)",
                   name_of_network(architecture()), static_cast<unsigned>(architecture()));
    }
    if (minor_version() < 4) {
      return Error(ErrorCode::model,
                   "the format version is 0.%u, networks of your own need 0.4: convert the checkpoint with "
                   "weights/convert.py --network generic",
                   static_cast<unsigned>(minor_version()));
    }
    return {};
  }

  /// Errors: model, where a number after the first `count` is not 0: the file is for a network that has more.
  Result<void> expect_no_numbers_from(int count) const noexcept {
    for (int i = count; i < numbers; ++i) {
      if (number(i) != 0) {
        return Error(ErrorCode::model, "number %d of the network is %u, expected 0: it has %d of them", i,
                     static_cast<unsigned>(number(i)), count);
      }
    }
    return {};
  }

  /// Errors: model, where a field has another value.
  Result<void> expect(char const* name, std::size_t offset, Index expected) const noexcept {
    if (field(offset) == expected) return {};
    return detail::wrong_field(name, static_cast<std::uint64_t>(field(offset)), static_cast<std::uint64_t>(expected));
  }

 private:
  static constexpr char const* name_of_network(Index architecture) noexcept {
    switch (architecture) {
      case 0: return "a network of somebody's own";
      case 1: return "MIRNet";
      case 2: return "MIRNet-v2";
      default: return "another network";
    }
  }

  static constexpr std::size_t number_offset(int i) noexcept { return 44 + 2 * static_cast<std::size_t>(i); }

  std::span<std::byte const> header_;
};

/// A weight file whose header, metadata and table have been checked against their checksums. Every error is of the
/// code `model` and a sentence about the file, without its name.
class WeightFile {
 public:
  /// Checks the header and the checksums of all but the tensors' data. `source` must outlive the result.
  static Result<WeightFile> open(ByteSource& source) noexcept {
    WeightFile file(source);
    if (auto const checked = file.check_header(); !checked) return checked.error();
    if (auto const checked = file.check_checksums(); !checked) return checked.error();
    if (auto const checked = file.check_task(); !checked) return checked.error();
    file.rewind();
    return file;
  }

  /// Valid as long as this object.
  WeightHeader header() const noexcept { return {header_}; }

  /// Compares the next entry of the table with a parameter. Call it for all parameters in the file's order, then
  /// check_end().
  template <class Parameter>
  Result<void> check_tensor(Parameter const& parameter, Name const& name) noexcept {
    return check_next(expected(parameter, name));
  }

  /// Whether the table ends after this number of parameters. If so, they can be read.
  Result<void> check_end(Index parameters) noexcept {
    auto const count = static_cast<std::uint64_t>(parameters);
    if (count != tensor_count_) return detail::wrong_field("the number of tensors", tensor_count_, count);
    if (name_end_ != strings_size_) return detail::wrong_field("the size of the names", strings_size_, name_end_);
    if (data_end_ != data_offset_ + data_size_) {
      return detail::wrong_field("the end of the data", data_offset_ + data_size_, data_end_);
    }
    rewind();
    return {};
  }

  /// Reads the tensors in order, one call for each parameter: layer.pack(packed, first, values) gets it piece by piece,
  /// or, where the file has it in the very arrangement of `packed`, it is read to its place. `spare` is memory that
  /// starts at a multiple of 64 and may be overwritten: the more, the larger the pieces. The tensors have been checked.
  template <class T, class Layer>
  Result<void> read_tensor(Layer& layer, T* packed, Name const& name, std::span<std::byte> spare = {},
                           ParallelFor const& parallel = {}) noexcept {
    auto const found = next_entry(expected(layer, name));
    if (!found) return found.error();
    StorageType const type = found->type;
    auto const size = static_cast<std::size_t>(element_size(type));
    bool const arranged = is_packed(layer), same = is_stored_as<T>(type);
    bool const whole = found->size / size == static_cast<std::uint64_t>(layer.shape().elements());
    auto const take = [&](Index first, std::span<std::byte> bytes, std::byte* beside) noexcept {
      auto* values = reinterpret_cast<T*>(same ? bytes.data() : beside);
      if (!same) widen(type, bytes, values);
      if (!arranged) {
        layer.pack(packed, first, std::span<T const>(values, bytes.size() / size));
        return true;
      }
      if (same && whole) return true;  // nothing is padding
      return unpack(layer, type, first, bytes, [&](std::size_t i, Index from, std::size_t count) {
        if (!same) std::copy_n(values + i, count, packed + layer.packed_at(packed_line<T>, from));
      });
    };
    Pieces pieces{.tensor = *found, .beside = same ? 0 : sizeof(T), .spare = spare, .parallel = &parallel};
    // Whole lines; and where they are made here, what they are made of.
    Index const rows = layer.shape().dim[0], a_row = layer.shape().elements() / rows;
    pieces.unit = static_cast<std::uint64_t>(arranged ? alignment_bytes : packed_line<T> * a_row);
    if (arranged && same) pieces.place = reinterpret_cast<std::byte*>(packed);
    pieces.use(take);
    return read_pieces(pieces, name);
  }

  /// Whether the tensors of this file, which lies in memory, can be used there by kernels of T, float or bfloat16.
  /// Errors: model, with what has to be different.
  template <class T>
  Result<void> check_in_place(std::span<std::byte const> file) const noexcept {
    if (std::endian::native != std::endian::little) {
      return Error(ErrorCode::model, "weights are stored with the lowest byte first, and can only be copied here");
    }
    if (auto const past = reinterpret_cast<std::uintptr_t>(file.data()) % detail::weight_alignment; past != 0) {
      return Error(ErrorCode::model,
                   "the file lies %u bytes behind a multiple of 64; to be used in place it starts at one (alignas, "
                   ".balign)",
                   static_cast<unsigned>(past));
    }
    if (!packed_) {
      return Error(ErrorCode::model,
                   "the weights are arranged as in the checkpoint; to be used in place they are packed: convert the "
                   "file with weights/convert.py --dtype %s --layout packed",
                   name_of(storage_of<T>()));
    }
    return {};
  }

  /// As read_tensor for all but slopes, with the weights left where they are in `file`, which check_in_place has found
  /// usable.
  template <class T, class Layer>
  Result<void> place_tensor(Layer& layer, std::span<std::byte const> file, Name const& name) noexcept {
    Expected const packed = expected(layer, name);
    std::span<std::byte const> bytes;
    auto result = find_in_place(packed, storage_of<T>(), file, bytes);
    if (result && (sizeof(T) == 4 ? packed.of_32_bits : packed.of_16_bits) != packed.shape.elements()) {
      if (!unpack(layer, storage_of<T>(), 0, bytes, [](std::size_t, Index, std::size_t) {})) result = not_zero(name);
    }
    if (result) layer.bind(reinterpret_cast<T const*>(bytes.data()));
    return result;
  }

 private:
  struct Tensor {
    StorageType type;
    std::uint32_t crc;
    std::uint64_t offset, size;
  };

  explicit WeightFile(ByteSource& source) noexcept : source_(&source) {}

  static Error wrong_checksum(Name const& name) noexcept {
    return Error(ErrorCode::model, "the data of %s does not match its checksum", name.c_str());
  }
  static Error not_zero(Name const& name) noexcept {
    return Error(ErrorCode::model, "the weights of %s for channels that do not exist are not zero", name.c_str());
  }
  static Error unreadable() noexcept { return Error(ErrorCode::model, "the file cannot be read to its end"); }

  template <class Unsigned>
  Unsigned header(std::size_t offset) const noexcept {
    return detail::little_endian<Unsigned>(header_, offset);
  }

  /// What says whether this is a whole weight file of a version that this program reads.
  Result<void> check_header() noexcept {
    using namespace detail;
    std::uint64_t const size = source_->size();
    // A file that is something else is told so even when it is shorter than a header.
    std::byte magic[8] = {};
    if (!source_->read(0, {magic, static_cast<std::size_t>(std::min<std::uint64_t>(size, 8))})) return unreadable();
    if (!std::equal(magic, magic + 8, std::as_bytes(std::span(weight_magic)).begin())) {
      return Error(ErrorCode::model, "not a .mirw weight file: it begins with other bytes");
    }
    if (size < weight_header_size) {
      return Error(ErrorCode::model, "the file ends after %llu bytes, expected a header of %llu",
                   static_cast<unsigned long long>(size), static_cast<unsigned long long>(weight_header_size));
    }
    if (!source_->read(0, header_)) return unreadable();

    unsigned const major = header<std::uint16_t>(8), minor = header<std::uint16_t>(10);
    if (major != weight_major || minor > weight_minor) {
      return Error(ErrorCode::model, "the format version is %u.%u, this program reads %u.0 to %u.%u; %s", major, minor,
                   weight_major, weight_major, weight_minor,
                   major < weight_major
                       ? "convert the checkpoint again with this program's weights/convert.py"
                       : "use a newer program, or convert the checkpoint with this one's weights/convert.py");
    }
    if (auto const tag = header<std::uint32_t>(12); tag != 0x01020304)
      return wrong_field("the byte-order tag", tag, 0x01020304);
    if (auto const stated = header<std::uint64_t>(16); stated != size) {
      return Error(ErrorCode::model, "the file has %llu bytes, its header says %llu: it is %s",
                   static_cast<unsigned long long>(size), static_cast<unsigned long long>(stated),
                   size < stated ? "truncated" : "damaged or has something appended");
    }
    if (auto const stated = header<std::uint32_t>(24); stated != weight_header_size) {
      return wrong_field("the header's size", stated, weight_header_size);
    }
    std::uint32_t const flags = header<std::uint32_t>(28), known = minor < 2 ? 0 : weights_are_packed;
    if ((flags & 0xFFFF & ~known) != 0) {
      return Error(ErrorCode::model, "the flags are 0x%08lx, of which version %u.%u has 0x%04lx",
                   static_cast<unsigned long>(flags), major, minor, static_cast<unsigned long>(known));
    }
    packed_ = (flags & weights_are_packed) != 0;
    tensor_count_ = header<std::uint32_t>(72);
    strings_offset_ = header<std::uint64_t>(88);
    data_offset_ = header<std::uint64_t>(96);
    data_size_ = header<std::uint64_t>(104);
    strings_size_ = header<std::uint32_t>(124);
    return check_sections(size);
  }

  /// The sections follow each other without gaps, so each offset has one right value.
  Result<void> check_sections(std::uint64_t size) const noexcept {
    using namespace detail;
    std::uint64_t const most = (std::numeric_limits<std::uint64_t>::max)();
    struct Field {
      char const* name;
      std::uint64_t found, expected;
    };
    std::uint64_t const meta_size = header<std::uint32_t>(120);
    // Tables and names have 32-bit sizes: these sums cannot wrap. The data's can.
    std::uint64_t const strings = weight_header_size + weight_entry_size * tensor_count_;
    std::uint64_t const data = align(strings + strings_size_);
    std::uint64_t const meta = data_size_ <= most - data ? data + data_size_ : most;
    std::uint64_t const end = meta_size <= most - meta ? meta + meta_size : most;
    Field const fields[] = {{"the alignment", header<std::uint32_t>(76), weight_alignment},
                            {"the offset of the table", header<std::uint64_t>(80), weight_header_size},
                            {"the offset of the names", strings_offset_, strings},
                            {"the offset of the data", data_offset_, data},
                            {"the offset of the metadata", header<std::uint64_t>(112), meta},
                            {"the end of the metadata", end, size}};
    for (auto const& field : fields) {
      if (field.found != field.expected) return wrong_field(field.name, field.found, field.expected);
    }
    return {};
  }

  Result<void> check_checksums() noexcept {
    Crc32c crc, meta;
    crc.add(std::span(header_).first(32));
    crc.add(std::span(header_).subspan(36));
    if (!add_range(crc, detail::weight_header_size, strings_offset_ + strings_size_)) return unreadable();
    if (!add_range(meta, data_offset_ + data_size_, source_->size())) return unreadable();
    if (crc.value() != header<std::uint32_t>(32)) {
      return Error(ErrorCode::model,
                   "the header and the table of tensors do not match their checksum: the file is damaged");
    }
    if (meta.value() != header<std::uint32_t>(68)) {
      return Error(ErrorCode::model, "the metadata does not match its checksum: the file is damaged");
    }
    return check_zeros(strings_offset_ + strings_size_, data_offset_);
  }

  /// Tasks have the same numbers for all networks; before 0.4, only MIRNet had tasks.
  Result<void> check_task() const noexcept {
    WeightHeader const fields(header_);
    if (fields.minor_version() < 4 || fields.task() <= last_task) return {};
    return Error(ErrorCode::model, "the task is %u, expected 0 to %u", static_cast<unsigned>(fields.task()),
                 static_cast<unsigned>(last_task));
  }

  bool add_range(Crc32c& crc, std::uint64_t first, std::uint64_t last) noexcept {
    std::byte bytes[1024];
    while (first < last) {
      std::span<std::byte> const piece(bytes,
                                       static_cast<std::size_t>(std::min<std::uint64_t>(sizeof bytes, last - first)));
      if (!source_->read(first, piece)) return false;
      crc.add(piece);
      first += piece.size();
    }
    return true;
  }

  void rewind() noexcept {
    next_ = 0;
    name_end_ = 0;
    data_end_ = data_offset_;
  }

  /// What the next entry has to be. The number of elements depends on the size of their type.
  struct Expected {
    ParameterShape shape;
    Name const& name;
    Index of_32_bits, of_16_bits;
  };

  template <class Parameter>
  Expected expected(Parameter const& parameter, Name const& name) const noexcept {
    ParameterShape const shape = parameter.shape();
    if (!is_packed(parameter)) return {shape, name, shape.elements(), shape.elements()};
    return {shape, name, parameter.packed_elements(channels_a_line(StorageType::f32)),
            parameter.packed_elements(channels_a_line(StorageType::f16))};
  }

  /// check_tensor, compiled once for all layers.
  MIRNET_NOINLINE Result<void> check_next(Expected const& wanted) noexcept {
    if (next_ >= tensor_count_) return {};  // check_end says so
    if (auto const tensor = next_entry(wanted); !tensor) return tensor.error();
    return {};
  }

  /// Finds the bytes of the next tensor, which must be packed and stored as `type`; compiled once for all layers.
  MIRNET_NOINLINE Result<void> find_in_place(Expected const& wanted, StorageType type, std::span<std::byte const> file,
                                             std::span<std::byte const>& bytes) noexcept {
    Name const& name = wanted.name;
    auto const found = next_entry(wanted);
    if (!found) return found.error();
    if (found->type != type) {
      return Error(ErrorCode::model,
                   "%s is stored as %s; to be used in place it is %s: convert the file with weights/convert.py --dtype "
                   "%s --layout packed",
                   name.c_str(), name_of(found->type), name_of(type), name_of(type));
    }
    bytes = file.subspan(static_cast<std::size_t>(found->offset), static_cast<std::size_t>(found->size));
    Crc32c crc;
    crc.add(bytes);
    if (crc.value() != found->crc) return wrong_checksum(name);
    return check_zeros(found->offset + found->size, data_end_);
  }

  /// Checks and returns the next entry of the table: every field but the type and the checksum has one right value.
  MIRNET_NOINLINE Result<Tensor> next_entry(Expected const& wanted) noexcept {
    ParameterShape const& shape = wanted.shape;
    Name const& name = wanted.name;
    using namespace detail;
    if (shape.elements() <= 0) {
      return Error(ErrorCode::model, "%s has no elements: the channels or options of its layer are out of range",
                   name.c_str());
    }
    std::byte entry[weight_entry_size];
    if (!source_->read(weight_header_size + weight_entry_size * next_, entry)) return unreadable();
    if (!next_name_is(entry, name.view())) return wrong_name(entry, name);
    auto const type = std::to_integer<unsigned>(entry[6]);
    if (type > static_cast<unsigned>(StorageType::bf16)) {
      return Error(ErrorCode::model, "the storage type of %s is %u, expected 0 (f32), 1 (f16) or 2 (bf16)",
                   name.c_str(), type);
    }
    Tensor const tensor{static_cast<StorageType>(type), little_endian<std::uint32_t>(entry, 44),
                        little_endian<std::uint64_t>(entry, 24), little_endian<std::uint64_t>(entry, 32)};

    struct Field {
      char const* what;
      std::uint64_t found, expected;
    };
    Field const fields[] = {
        {"the rank", std::to_integer<unsigned>(entry[7]), static_cast<unsigned>(shape.rank)},
        {"the first dimension", little_endian<std::uint32_t>(entry, 8), static_cast<std::uint64_t>(shape.dim[0])},
        {"the second dimension", little_endian<std::uint32_t>(entry, 12), static_cast<std::uint64_t>(shape.dim[1])},
        {"the third dimension", little_endian<std::uint32_t>(entry, 16), static_cast<std::uint64_t>(shape.dim[2])},
        {"the fourth dimension", little_endian<std::uint32_t>(entry, 20), static_cast<std::uint64_t>(shape.dim[3])},
        {"the offset", tensor.offset, data_end_},
        {"the size", tensor.size,
         static_cast<std::uint64_t>(tensor.type == StorageType::f32 ? 4 * wanted.of_32_bits : 2 * wanted.of_16_bits)},
        {"the scale index", little_endian<std::uint32_t>(entry, 40), 0xFFFFFFFF},
        {"the first reserved field", little_endian<std::uint64_t>(entry, 48), 0},
        {"the second reserved field", little_endian<std::uint64_t>(entry, 56), 0}};
    for (auto const& field : fields) {
      if (field.found != field.expected) {
        return Error(ErrorCode::model, "%s of %s is %llu, expected %llu", field.what, name.c_str(),
                     static_cast<unsigned long long>(field.found), static_cast<unsigned long long>(field.expected));
      }
    }
    std::uint64_t const end = data_offset_ + data_size_;
    if (tensor.offset > end || tensor.size > end - tensor.offset) {
      return Error(ErrorCode::model, "the %llu bytes of %s from byte %llu on pass the end of the data at %llu",
                   static_cast<unsigned long long>(tensor.size), name.c_str(),
                   static_cast<unsigned long long>(tensor.offset), static_cast<unsigned long long>(end));
    }
    ++next_;
    name_end_ += name.view().size();
    data_end_ = align(tensor.offset + tensor.size);
    return tensor;
  }

  /// Names follow each other without gaps.
  bool next_name_is(std::span<std::byte const> entry, std::string_view expected) noexcept {
    char found[Name::capacity];
    std::uint64_t const space = strings_size_ - name_end_;
    return detail::little_endian<std::uint32_t>(entry, 0) == name_end_ &&
           detail::little_endian<std::uint16_t>(entry, 4) == expected.size() && expected.size() <= space &&
           source_->read(strings_offset_ + name_end_, std::as_writable_bytes(std::span(found, expected.size()))) &&
           std::string_view(found, expected.size()) == expected;
  }

  /// Says which name is there instead, without characters that are unsafe to print.
  MIRNET_NOINLINE Error wrong_name(std::span<std::byte const> entry, Name const& expected) noexcept {
    auto const tensor = static_cast<unsigned long long>(next_);
    std::uint64_t const offset = detail::little_endian<std::uint32_t>(entry, 0);
    std::uint64_t const size = detail::little_endian<std::uint16_t>(entry, 4), space = strings_size_ - name_end_;
    if (offset != name_end_) {
      return Error(ErrorCode::model,
                   "the name of tensor %llu begins at byte %llu of the names, expected %llu for \"%s\"", tensor,
                   static_cast<unsigned long long>(offset), static_cast<unsigned long long>(name_end_),
                   expected.c_str());
    }
    if (size == 0 || size > Name::capacity || size > space) {
      return Error(ErrorCode::model, "the name of tensor %llu has %llu bytes, expected 1 to %llu for \"%s\"", tensor,
                   static_cast<unsigned long long>(size),
                   static_cast<unsigned long long>((std::min<std::uint64_t>)(space, Name::capacity)), expected.c_str());
    }
    char found[Name::capacity + 1] = {};
    std::span<char> const characters(found, static_cast<std::size_t>(size));
    if (!source_->read(strings_offset_ + name_end_, std::as_writable_bytes(characters))) return unreadable();
    for (char& c : characters) {
      if (!is_of_a_name(c)) c = '?';
    }
    bool const is_bias = std::string_view(found).ends_with(".bias") && !expected.view().ends_with(".bias");
    return Error(ErrorCode::model, "tensor %llu is \"%s\", expected \"%s\"%s", tensor, found, expected.c_str(),
                 is_bias ? "; the layer before has no bias" : "");
  }

  static constexpr bool is_of_a_name(char c) noexcept {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
  }

  /// Padding holds nothing: there is one file for a set of weights.
  Result<void> check_zeros(std::uint64_t first, std::uint64_t last) noexcept {
    std::byte bytes[detail::weight_alignment];
    std::span<std::byte> const padding(bytes, static_cast<std::size_t>(last - first));
    if (!source_->read(first, padding)) return unreadable();
    if (!all_zero(padding)) {
      return Error(ErrorCode::model, "the padding before byte %llu is not zero", static_cast<unsigned long long>(last));
    }
    return {};
  }

  /// use(i, from, count) for the elements of a packed tensor's bytes that begin with its element `first`: the i-th of
  /// them is the plain tensor's element `from`, and those after it follow it in any packed arrangement. False where one
  /// for a channel that does not exist is not zero.
  template <class Layer, class Use>
  static bool unpack(Layer const& layer, StorageType type, Index first, std::span<std::byte const> bytes,
                     Use use) noexcept {
    auto const size = static_cast<std::size_t>(element_size(type)), elements = bytes.size() / size;
    constexpr std::size_t together = 8;  // the line of the largest type
    Index const line = channels_a_line(type);
    for (std::size_t i = 0; i < elements; i += together) {
      auto const count = (std::min)(together, elements - i);
      Index const at = first + static_cast<Index>(i), from = layer.packed_from(line, at);
      if (from != no_element && layer.packed_from(line, at + static_cast<Index>(count) - 1) != no_element) {
        use(i, from, count);
        continue;
      }
      for (std::size_t k = i; k < i + count; ++k) {
        Index const one = layer.packed_from(line, first + static_cast<Index>(k));
        if (one != no_element) {
          use(k, one, std::size_t{1});
        } else if (!all_zero(bytes.subspan(k * size, size))) {
          return false;
        }
      }
    }
    return true;
  }

  static bool all_zero(std::span<std::byte const> bytes) noexcept {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
  }

  /// Slopes are stored as they are.
  template <class Layer>
  bool is_packed(Layer const& layer) const noexcept {
    return packed_ && layer.packed_elements(1) > 0;
  }

  template <class T>
  static constexpr StorageType storage_of() noexcept {
    return std::is_same_v<T, bfloat16> ? StorageType::bf16 : StorageType::f32;
  }

  /// In the packed arrangement: those of 64 bytes.
  static constexpr Index channels_a_line(StorageType type) noexcept {
    return alignment_bytes / static_cast<Index>(element_size(type));
  }

  static constexpr std::uint64_t align(std::uint64_t offset) noexcept {
    return (offset + detail::weight_alignment - 1) / detail::weight_alignment * detail::weight_alignment;
  }

  static constexpr std::uint64_t element_size(StorageType type) noexcept { return type == StorageType::f32 ? 4 : 2; }

  /// Whether numbers of T are what the file has, bit for bit.
  template <class T>
  static constexpr bool is_stored_as(StorageType type) noexcept {
    bool const has_a_type = std::is_same_v<T, float> || std::is_same_v<T, bfloat16>;
    return std::endian::native == std::endian::little && has_a_type && type == storage_of<T>();
  }

  template <class T>
  static void widen(StorageType type, std::span<std::byte const> bytes, T* values) noexcept {
    auto const each = [&]<class Bits>(Bits, auto value_of) {
      for (std::size_t i = 0; i < bytes.size() / sizeof(Bits); ++i) {
        values[i] = static_cast<T>(value_of(detail::little_endian<Bits>(bytes, i * sizeof(Bits))));
      }
    };
    switch (type) {
      case StorageType::f32: return each(std::uint32_t{}, [](auto bits) { return bit_cast<float>(bits); });
      case StorageType::f16: return each(std::uint16_t{}, [](auto bits) { return from_half(bits); });
      case StorageType::bf16: return each(std::uint16_t{}, [](auto bits) { return from_bfloat16(bits); });
    }
  }

  /// How a tensor is read.
  struct Pieces {
    Tensor tensor;
    std::uint64_t unit = 1;      // elements that are best taken together
    std::size_t beside = 0;      // bytes that an element needs beside its own
    std::byte* place = nullptr;  // where all of the bytes are to be; none: piece by piece in other memory
    std::span<std::byte> spare;  // which is this, if it is enough
    ParallelFor const* parallel = nullptr;
    // take(first, bytes, beside), which is false where padding is not zero.
    bool (*take)(void* self, Index first, std::span<std::byte> bytes, std::byte* beside) noexcept = nullptr;
    void* self = nullptr;

    template <class Take>
    void use(Take const& body) noexcept {
      take = [](void* object, Index first, std::span<std::byte> bytes, std::byte* memory) noexcept {
        return (*static_cast<Take const*>(object))(first, bytes, memory);
      };
      self = const_cast<void*>(static_cast<void const*>(&body));
    }
  };

  /// What came of a part of a tensor.
  struct Part {
    Crc32c crc;
    std::uint64_t bytes = 0;
    bool readable = true, zero = true;
  };

  /// Reads a tensor and takes the checksum of it while it lies in a cache. In parts, one for each thread, where it is
  /// large. Compiled once for all layers.
  MIRNET_NOINLINE Result<void> read_pieces(Pieces const& pieces, Name const& name) noexcept {
    constexpr std::size_t most_parts = 16;
    constexpr std::uint64_t large = 64 * 1024;
    Tensor const& tensor = pieces.tensor;
    std::uint64_t const size = element_size(tensor.type), elements = tensor.size / size;
    std::uint64_t const units = (elements + pieces.unit - 1) / pieces.unit, need = size + pieces.beside;
    alignas(detail::weight_alignment) std::byte stack[2048];
    std::span<std::byte> const memory = pieces.spare.size() > sizeof stack ? pieces.spare : std::span(stack);

    std::uint64_t step = (std::max<std::uint64_t>)(large / size / pieces.unit, 1) * pieces.unit, parts = 1;
    std::uint64_t const memory_each = pieces.place != nullptr ? 0 : align(step * need);
    if (tensor.size >= large && source_->concurrent()) {
      parts = (std::min<std::uint64_t>)({most_parts, units, static_cast<std::uint64_t>(pieces.parallel->workers)});
    }
    if (memory_each * parts > memory.size()) parts = 1;
    if (memory_each > memory.size()) {
      step = memory.size() / need;
      step -= step % (step >= pieces.unit ? pieces.unit : detail::weight_alignment);
    }

    Part results[most_parts];
    (*pieces.parallel)(static_cast<Index>(parts), [&](Index index, Index) noexcept {
      auto const number = static_cast<std::uint64_t>(index);
      Part& part = results[number];
      std::uint64_t const last = (std::min)(elements, units * (number + 1) / parts * pieces.unit);
      auto* const own = memory.data() + static_cast<std::size_t>(number * memory_each);
      for (std::uint64_t first = units * number / parts * pieces.unit; first < last; first += step) {
        auto const count = static_cast<std::size_t>((std::min)(step, last - first));
        // What is beside comes first, as its numbers may be the larger ones.
        auto* const to = pieces.place != nullptr ? pieces.place + static_cast<std::size_t>(first * size)
                                                 : own + count * pieces.beside;
        std::span<std::byte> const piece(to, count * static_cast<std::size_t>(size));
        if (!source_->read(tensor.offset + first * size, piece)) {
          part.readable = false;
          return;
        }
        part.crc.add(piece);
        part.bytes += piece.size();
        if (!pieces.take(pieces.self, static_cast<Index>(first), piece, own)) {
          part.zero = false;
          return;
        }
      }
    });
    Crc32c crc;
    for (Part const& part : std::span(results).first(static_cast<std::size_t>(parts))) {
      if (!part.readable) return unreadable();
      if (!part.zero) return not_zero(name);
      crc.append(part.crc, part.bytes);
    }
    if (crc.value() != tensor.crc) return wrong_checksum(name);
    return check_zeros(tensor.offset + tensor.size, data_end_);
  }

  ByteSource* source_;
  std::byte header_[detail::weight_header_size] = {};
  bool packed_ = false;
  std::uint32_t tensor_count_ = 0;
  std::uint64_t strings_offset_ = 0, strings_size_ = 0, data_offset_ = 0, data_size_ = 0;
  // How far the table has been read: entries, bytes of names, end of the data.
  std::uint64_t next_ = 0, name_end_ = 0, data_end_ = 0;
};

}  // namespace mirnet::inline MIRNET_ABI
