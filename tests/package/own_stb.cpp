// Applications that compile stb's implementation themselves, in the translation unit that includes mirnet: after it,
// with MIRNET_STB_IMPLEMENTATION=0, or before it, with OWN_STB_FIRST. Each writes a picture and reads it, both through
// mirnet and with stb directly.
#include <cstdio>
#include <cstring>

#if defined(OWN_STB_FIRST)
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>
#endif

#include <mirnet/io/image_file.hpp>

#if !defined(OWN_STB_FIRST)
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>
#endif

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: own_stb FILE.png\n"), 2;
  std::remove(argv[1]);
  auto image = mirnet::Image::create(5, 3, 3, mirnet::SampleType::u8).value();
  unsigned char number = 0;
  for (auto& sample : image.samples<std::uint8_t>()) sample = number = static_cast<unsigned char>(number * 5 + 3);
  mirnet::write_image(argv[1], image).value();
  auto const read = mirnet::read_image(argv[1]).value();
  int width = 0, height = 0, channels = 0;
  unsigned char* const own = stbi_load(argv[1], &width, &height, &channels, 0);  // which mirnet's does not have
  bool const same = own != nullptr && width == 5 && height == 3 && channels == 3 &&
                    std::memcmp(own, image.bytes().data(), image.bytes().size()) == 0 &&
                    std::memcmp(read.bytes().data(), image.bytes().data(), image.bytes().size()) == 0;
  stbi_image_free(own);
  return same ? 0 : 1;
}
