#include "format.hpp"

namespace board {

namespace {

/// What fits.
class Writer {
 public:
  Writer(char* to, std::size_t size) noexcept : to_(to), size_(size) {}

  void add(char c) noexcept {
    if (length_ + 1 < size_) to_[length_] = c;
    ++length_;
  }
  void add(char const* text) noexcept {
    while (*text != '\0') add(*text++);
  }
  void add(unsigned long long number, unsigned base) noexcept {
    char digits[24], *first = digits + sizeof digits - 1;
    *first = '\0';
    do *--first = "0123456789abcdef"[number % base];
    while ((number /= base) > 0);
    add(first);
  }
  int end() noexcept {
    if (size_ > 0) to_[length_ < size_ ? length_ : size_ - 1] = '\0';
    return static_cast<int>(length_);
  }

 private:
  char* to_;
  std::size_t size_, length_ = 0;
};

}  // namespace

int format(char* to, std::size_t size, char const* text, std::va_list arguments) noexcept {
  Writer writer(to, size);
  for (; *text != '\0'; ++text) {
    if (*text != '%') {
      writer.add(*text);
      continue;
    }
    int longs = 0;
    while (*++text == 'l' || *text == 'z' || (*text >= '0' && *text <= '9')) longs += *text == 'l';
    if (*text == 's') {
      writer.add(va_arg(arguments, char const*));
    } else if (*text == 'c') {
      writer.add(static_cast<char>(va_arg(arguments, int)));
    } else if (*text == 'd') {
      // int, long and size_t have 32 bits here.
      long long const number = longs < 2 ? va_arg(arguments, int) : va_arg(arguments, long long);
      if (number < 0) writer.add('-');
      writer.add(number < 0 ? 0 - static_cast<unsigned long long>(number) : static_cast<unsigned long long>(number),
                 10);
    } else if (*text == 'u' || *text == 'x') {
      unsigned long long const number = longs < 2 ? va_arg(arguments, unsigned) : va_arg(arguments, unsigned long long);
      writer.add(number, *text == 'u' ? 10 : 16);
    } else {
      writer.add(*text);
    }
    if (*text == '\0') break;
  }
  return writer.end();
}

}  // namespace board
