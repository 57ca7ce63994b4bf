// The program's arguments, up to but without doing what they ask for; and the small languages in them: sizes of memory
// and of pictures, names of results. An input is the arguments, one a line.
#include <string>
#include <vector>

#include "command_line.hpp"
#include "files.hpp"
#include "fuzz.hpp"
#include "measure/size.hpp"
#include "memory_limit.hpp"
#include "picture.hpp"

namespace {

std::vector<std::string> lines(std::string_view text) {
  std::vector<std::string> list;
  for (std::size_t at = 0; at <= text.size() && list.size() < 64;) {
    auto const end = std::min(text.find('\n', at), text.size());
    // An argument ends at its zero.
    list.emplace_back(std::string(text.substr(at, end - at)).c_str());
    at = end + 1;
  }
  return list;
}

/// Arguments as they come from the system, the program's name in front.
void parse(std::vector<std::string> const& arguments) {
  std::vector<char const*> argv = {"mirnet"};
  for (auto const& argument : arguments) argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  static cli::CommandLine command_line;  // which takes longer to make than to use
  auto const wish = command_line.parse(static_cast<int>(argv.size()) - 1, argv.data());
  fuzz::require(wish.mistake.empty() == static_cast<bool>(wish.action), "there is something to do or a mistake");
  auto const sentence = cli::one_line(wish.mistake);
  fuzz::require(sentence.find_first_of("\n\r\x1b\x7f") == std::string::npos, "a sentence is one line");
}

void parse_words(std::string const& word) {
  if (auto const bytes = cli::parse_bytes(word)) {
    fuzz::require(*bytes > 0, "a size of memory is more than nothing");
    fuzz::require(!cli::bytes_text(*bytes).empty(), "a size of memory has a text");
  } else {
    fuzz::require_sentence(bytes.error());
  }
  if (auto const size = measure::parse_size(word)) {
    fuzz::require(size->width >= 1 && size->height >= 1, "a picture has a pixel");
  }
}

/// Names under a folder that does not exist: nothing is opened, and nothing found.
void list(std::vector<std::string> const& words) {
  cli::FileOptions files;
  for (auto const& word : words) {
    bool const option = word.starts_with("--");
    if (word.starts_with("--output-dir=")) files.output_folder = "/nonexistent/" + word.substr(13);
    if (word.starts_with("--suffix=")) files.suffix = word.substr(9);
    if (word.starts_with("--format=")) files.format = word.substr(9);
    if (!option) files.files.push_back(word == "-" ? word : "/nonexistent/" + word);
  }
  if (files.files.empty()) return;  // the arguments' parser refuses that
  auto const all = cli::list_work(files);
  if (!all) return fuzz::require_sentence(all.error());
  fuzz::require(!all->pictures.empty(), "there is work or an error");
  for (auto const& work : all->pictures) {
    if (auto const format = cli::output_format(work, files.format); !format) fuzz::require_sentence(format.error());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const words = lines({reinterpret_cast<char const*>(data), size});
  parse(words);
  for (auto const& word : words) parse_words(word);
  list(words);
  return 0;
}
