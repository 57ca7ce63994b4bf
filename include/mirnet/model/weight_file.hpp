// Reading a weight file (weights/README.md specifies it). A file is compared with what its network asks for,
// field by field and tensor by tensor, before any memory is taken for it; its data is then streamed, so that a file
// and its packed copy are never in memory together, or, where it is packed already, used where it lies.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>

#include <mirnet/base/crc32c.hpp>
#include <mirnet/base/half.hpp>
#include <mirnet/base/name.hpp>
#include <mirnet/base/result.hpp>
#include <mirnet/layers/parameter.hpp>
#include <mirnet/model/byte_source.hpp>
#include <mirnet/model/task.hpp>

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
  /// 0: a network of your own; 1: MIRNet.
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

  /// The first check of a network of your own. Errors: model, where the file is of one of the library's networks, or of
  /// a version that has no others.
  Result<void> expect_own_network() const noexcept {
    if (architecture() != 0) {
      return Error(ErrorCode::model, "the file has weights of %s (architecture %u), expected a network of your own (0)",
                   architecture() == 1 ? "MIRNet" : "another network", static_cast<unsigned>(architecture()));
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

  /// Reads the tensors in order, one call for each parameter: layer.pack(packed, first, values) gets it piece by piece.
  /// The tensors have been checked.
  template <class T, class Layer>
  Result<void> read_tensor(Layer& layer, T* packed, Name const& name) noexcept {
    auto const found = next_entry(expected(layer, name));
    if (!found) return found.error();
    Tensor const tensor = *found;

    constexpr std::uint64_t most = 256;  // elements a piece, which lies on the stack
    std::byte bytes[most * sizeof(float)];
    T values[most];
    std::uint64_t const size = element_size(tensor.type), elements = tensor.size / size;
    Crc32c crc;
    for (std::uint64_t first = 0; first < elements; first += most) {
      auto const count = static_cast<std::size_t>((std::min)(most, elements - first));
      std::span<std::byte> const piece(bytes, count * static_cast<std::size_t>(size));
      if (!source_->read(tensor.offset + first * size, piece)) return unreadable();
      crc.add(piece);
      widen(tensor.type, piece, values);
      if (!is_packed(layer)) {
        layer.pack(packed, static_cast<Index>(first), std::span<T const>(values, count));
        continue;
      }
      auto const unpacked =
          unpack(layer, tensor.type, static_cast<Index>(first), piece, name, [&](std::size_t i, Index from) {
            layer.pack(packed, from, {values + i, 1});
          });
      if (!unpacked) return unpacked;
    }
    if (crc.value() != tensor.crc) return wrong_checksum(name);
    return check_zeros(tensor.offset + tensor.size, data_end_);
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
      result = unpack(layer, storage_of<T>(), 0, bytes, name, [](std::size_t, Index) {});
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

  /// use(i, from) for the elements of a packed tensor's bytes that begin with its element `first`: the i-th of them is
  /// the plain tensor's element `from`. Those for channels that do not exist are zero.
  template <class Layer, class Use>
  static Result<void> unpack(Layer const& layer, StorageType type, Index first, std::span<std::byte const> bytes,
                             Name const& name, Use use) noexcept {
    auto const size = static_cast<std::size_t>(element_size(type));
    for (std::size_t i = 0; i < bytes.size() / size; ++i) {
      Index const from = layer.packed_from(channels_a_line(type), first + static_cast<Index>(i));
      if (from != no_element) {
        use(i, from);
      } else if (!all_zero(bytes.subspan(i * size, size))) {
        return Error(ErrorCode::model, "the weights of %s for channels that do not exist are not zero", name.c_str());
      }
    }
    return {};
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

  template <class T>
  static void widen(StorageType type, std::span<std::byte const> bytes, T* values) noexcept {
    auto const size = static_cast<std::size_t>(element_size(type));
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      float const value = type == StorageType::f32
                              ? std::bit_cast<float>(detail::little_endian<std::uint32_t>(bytes, at))
                          : type == StorageType::f16 ? from_half(detail::little_endian<std::uint16_t>(bytes, at))
                                                     : from_bfloat16(detail::little_endian<std::uint16_t>(bytes, at));
      *values++ = static_cast<T>(value);
    }
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
