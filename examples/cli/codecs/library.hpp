// Shared libraries that are loaded when a picture needs them. The program starts itself again for every picture, and
// to link the libraries of AVIF, JPEG XL and RAW would make each start several times as long.
//
// A codec has a struct of one Library and the functions that it calls, and a function that returns the only one of its
// kind. Loading opens files: in a sandbox it is too late, so that FormatTraits::load is called before.
#pragma once

#include <optional>
#include <string>

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

#include <mirnet/base/result.hpp>

/// A member that is the function of this name from the member `library`, with the type that the library's header says.
#if defined(_WIN32)
#define MIRNET_FUNCTION(name) decltype(&::name) name = &::name
#else
#define MIRNET_FUNCTION(name) decltype(&::name) name = library.find<decltype(&::name)>(#name)
#endif

namespace cli {

inline std::string version_text(unsigned major, unsigned minor, unsigned patch) {
  return std::to_string(major) + '.' + std::to_string(minor) + '.' + std::to_string(patch);
}

#if defined(_WIN32)

/// Here they are linked: a program for Windows is one file.
class Library {
 public:
  explicit Library(char const*) {}
  std::optional<std::string> fault() const { return {}; }
  mirnet::Result<void> check(char const*, char const*) const { return {}; }
};

#else

class Library {
 public:
  /// `file` is a name that the system looks for where its libraries are. The library stays for good.
  explicit Library(char const* file) : handle_(::dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) note(::dlerror());
  }
  Library(Library const&) = delete;
  Library& operator=(Library const&) = delete;

  /// The function of this name in the library or in one that it needs. Null, and a fault of the library, where there is
  /// no such function.
  template <class Function>
  Function find(char const* name) {
    auto const function = find_if_there<Function>(name);
    if (function == nullptr) note(name);
    return function;
  }
  /// The same where it is no fault.
  template <class Function>
  Function find_if_there(char const* name) {
    return handle_ == nullptr ? nullptr : reinterpret_cast<Function>(::dlsym(handle_, name));
  }

  /// What is missing, in the words of the system.
  std::optional<std::string> const& fault() const { return fault_; }

  /// Whether everything is there. Errors: input, with a sentence on the file `name`.
  mirnet::Result<void> check(char const* name, char const* format) const {
    if (!fault_) return {};
    return mirnet::Error(mirnet::ErrorCode::input, "%s: is a picture in %s, whose library cannot be loaded: %s", name,
                         format, fault_->c_str());
  }

 private:
  void note(char const* what) {
    if (!fault_) fault_ = what;
  }

  void* handle_;
  std::optional<std::string> fault_;
};

#endif

}  // namespace cli
