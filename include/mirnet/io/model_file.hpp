// Models from weight files on disk.
#pragma once

#include <mirnet/io/file.hpp>
#include <mirnet/model/model.hpp>

namespace mirnet::inline MIRNET_ABI {

/// A weight file that is read piece by piece, and never as a whole in memory.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(InputFile file) noexcept : file_(std::move(file)) {}

  std::uint64_t size() const noexcept override { return file_.size(); }
  bool read(std::uint64_t offset, std::span<std::byte> to) noexcept override { return file_.read(offset, to); }
  bool concurrent() const noexcept override { return detail::system::reads_side_by_side; }

 private:
  InputFile file_;
};

/// load_model<Mirnet<float>>("denoise.mirw"), with the threads that it is given. Errors: model, for whatever is wrong
/// with the file; memory.
template <Network Net>
Result<Model<Net>> load_model(char const* path, ParallelFor const& parallel = {}) noexcept {
  auto file = InputFile::open(path, ErrorCode::model);
  if (!file) return file.error();
  FileSource source(*std::move(file));
  auto model = Model<Net>::load(source, {}, parallel);
  if (!model) return Error(model.error().code(), "%s: %s", path, model.error().message());
  return model;
}

}  // namespace mirnet::inline MIRNET_ABI
