// The operation mirnet:denoise in a graph of GEGL: the same bits as the C interface in every format that it reads as it
// is, one run of the network for a picture, and what it says and leaves where it cannot restore.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <gegl.h>
#include <mirnet.h>
#include <unistd.h>

namespace {

constexpr int width = 44, height = 27;

/// GEGL for all cases, and the messages that it logs.
struct Gegl {
  Gegl() {
    g_setenv("GEGL_PATH", MIRNET_GEGL_DIR, TRUE);  // this build's operation, whichever is installed
    gegl_init(nullptr, nullptr);
    gegl_load_module_directory(GEGL_PLUGINS_DIR);
    g_log_set_handler(
        "GEGL", G_LOG_LEVEL_MESSAGE,
        [](gchar const*, GLogLevelFlags, gchar const* message, gpointer self) {
          static_cast<Gegl*>(self)->messages.emplace_back(message);
        },
        this);
  }

  /// Since it was called last.
  std::string told() {
    std::string all;
    for (auto const& message : messages) all += message + "\n";
    messages.clear();
    return all;
  }

  std::vector<std::string> messages;
};

Gegl gegl;

using Bytes = std::vector<std::byte>;

/// Samples of a gradient with something like noise, and alpha from none to all, in a format of GEGL.
Bytes draw(Babl const* format, int columns = width, int rows = height) {
  auto const channels = babl_format_get_n_components(format);
  auto const size = static_cast<std::size_t>(babl_format_get_bytes_per_pixel(format) / channels);
  Bytes bytes;
  for (int y = 0; y < rows; ++y) {
    for (int x = 0; x < columns; ++x) {
      for (int c = 0; c < channels; ++c) {
        bool const alpha = channels % 2 == 0 && c == channels - 1;
        int const level =
            alpha ? std::clamp(x * 20 - 100, 0, 255) : (x * 3 + y * 5 + c * 40 + (x * 31 + y * 17) % 41) % 256;
        auto const unit = static_cast<float>(level) / 255;
        auto const u16 = static_cast<std::uint16_t>(level * 257);
        auto const* const first = size == 1   ? reinterpret_cast<std::byte const*>(&level)
                                  : size == 2 ? reinterpret_cast<std::byte const*>(&u16)
                                              : reinterpret_cast<std::byte const*>(&unit);
        bytes.insert(bytes.end(), first, first + size);
      }
    }
  }
  return bytes;
}

/// A picture, the operation, and what it makes of it.
class Graph {
 public:
  Graph(Babl const* format, Bytes const& bytes, int x = 0, int y = 0, int columns = width, int rows = height)
      : bounds_{x, y, columns, rows}, buffer_(gegl_buffer_new(&bounds_, format)) {
    gegl_buffer_set(buffer_, &bounds_, 0, format, bytes.data(), GEGL_AUTO_ROWSTRIDE);
    auto* const source = gegl_node_new_child(graph_, "operation", "gegl:buffer-source", "buffer", buffer_, nullptr);
    gegl_node_link(source, denoise);
    g_signal_connect(denoise, "progress", G_CALLBACK(count), this);
  }
  explicit Graph(char const* source) : bounds_{} {
    if (source != nullptr) gegl_node_link(gegl_node_new_child(graph_, "operation", source, nullptr), denoise);
  }
  ~Graph() {
    g_object_unref(graph_);
    g_clear_object(&buffer_);
  }
  Graph(Graph const&) = delete;
  Graph& operator=(Graph const&) = delete;

  Graph& set(double strength, double keep_grain) {
    gegl_node_set(denoise, "strength", strength, "keep-grain", keep_grain, nullptr);
    return *this;
  }

  Bytes result(Babl const* format) const { return result(format, bounds_); }
  Bytes result(Babl const* format, GeglRectangle const& part) const {
    Bytes bytes(static_cast<std::size_t>(part.width * part.height * babl_format_get_bytes_per_pixel(format)));
    gegl_node_blit(denoise, 1.0, &part, format, bytes.data(), GEGL_AUTO_ROWSTRIDE, GEGL_BLIT_DEFAULT);
    return bytes;
  }

  GeglBuffer* input() const { return buffer_; }

 private:
  static void count(GeglNode*, double done, Graph* self) {
    if (done <= 0 || done >= 1) return;
    ++self->steps;
    if (self->on_step) self->on_step();
  }

  GeglRectangle bounds_;
  GeglNode* graph_ = gegl_node_new();
  GeglBuffer* buffer_ = nullptr;

 public:
  GeglNode* denoise = gegl_node_new_child(graph_, "operation", "mirnet:denoise", nullptr);
  int steps = 0;  // reports of a network that was running
  std::function<void()> on_step;
};

/// What the C interface makes of it.
Bytes expected(Bytes const& bytes, int channels, mirnet_sample_type type, float strength = 1, float keep_grain = 0,
               int columns = width, int rows = height) {
  mirnet_error error{};
  mirnet_model* model = nullptr;
  mirnet_plan* plan = nullptr;
  mirnet_format const format{columns, rows, channels, type};
  mirnet_run_options options = MIRNET_RUN_OPTIONS_INIT;
  options.strength = strength;
  options.keep_grain = keep_grain;
  Bytes result(bytes.size());
  bool const done = mirnet_model_load_file(MIRNET_WEIGHTS, nullptr, &model, &error) == MIRNET_OK &&
                    mirnet_plan_create(model, &format, nullptr, &plan, &error) == MIRNET_OK &&
                    mirnet_run(plan, bytes.data(), 0, result.data(), 0, &options, &error) == MIRNET_OK;
  CHECK_MESSAGE(done, std::string(error.message));
  mirnet_plan_free(plan);
  mirnet_model_free(model);
  return result;
}

Bytes converted(Bytes const& bytes, Babl const* from, Babl const* to, int pixels = width * height) {
  Bytes result(static_cast<std::size_t>(pixels * babl_format_get_bytes_per_pixel(to)));
  babl_process(babl_fish(from, to), bytes.data(), result.data(), pixels);
  return result;
}

/// sRGB's primaries with another curve.
Babl const* space_of_gamma(double gamma) {
  auto const* const curve = babl_trc_gamma(gamma);
  auto const name = "gamma " + std::to_string(gamma);
  return babl_space_from_chromaticities(name.c_str(), 0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06, curve, curve,
                                        curve, BABL_SPACE_FLAG_EQUALIZE);
}

/// The largest one between two pictures of four floats a pixel, clamped as files hold them, where alpha is not 0.
float difference(Bytes const& a, Bytes const& b) {
  REQUIRE(a.size() == b.size());
  std::vector<float> x(a.size() / sizeof(float)), y(x.size());
  std::memcpy(x.data(), a.data(), a.size());
  std::memcpy(y.data(), b.data(), b.size());
  float largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto const distance = std::clamp(x[i], 0.0f, 1.0f) - std::clamp(y[i], 0.0f, 1.0f);
    if (x[i / 4 * 4 + 3] > 0) largest = std::max(largest, std::abs(distance));
  }
  return largest;
}

}  // namespace

TEST_CASE("the bits of the C interface, in each format that is read as it is") {
  for (char const* const model : {"R'G'B'", "R'G'B'A", "Y'", "Y'A", "R~G~B~A", "Y~"}) {
    for (auto const& [samples, type] : {std::pair("u8", MIRNET_U8), {"u16", MIRNET_U16}, {"float", MIRNET_F32}}) {
      auto const name = model + std::string(" ") + samples;
      CAPTURE(name);
      auto const* const format = babl_format(name.c_str());
      auto const bytes = draw(format);
      auto const channels = babl_format_get_n_components(format);
      Graph graph(format, bytes);
      CHECK(graph.result(format) == expected(bytes, channels, type));
      CHECK(graph.set(0.6, 0.3).result(format) == expected(bytes, channels, type, 0.6f, 0.3f));
      CHECK(graph.set(0, 0).result(format) == bytes);
      CHECK(babl_format_get_type(gegl_buffer_get_format(graph.input()), 0) == babl_type(samples));
    }
  }
}

TEST_CASE("the network runs once for a picture, and again for another one") {
  auto const* const format = babl_format("R'G'B' u8");
  constexpr int side = 160;
  auto bytes = draw(format, side, side);
  Graph graph(format, bytes, 0, 0, side, side);
  CHECK(graph.result(format) == expected(bytes, 3, MIRNET_U8, 1, 0, side, side));
  CHECK(graph.steps > 3);
  graph.steps = 0;
  CHECK(graph.set(0.5, 0).result(format) == expected(bytes, 3, MIRNET_U8, 0.5f, 0, side, side));
  CHECK(graph.set(0.5, 1).result(format) == expected(bytes, 3, MIRNET_U8, 0.5f, 1, side, side));
  CHECK(graph.steps == 0);
  bytes[bytes.size() / 2] ^= std::byte{64};
  gegl_buffer_set(graph.input(), nullptr, 0, format, bytes.data(), GEGL_AUTO_ROWSTRIDE);
  CHECK(graph.result(format) == expected(bytes, 3, MIRNET_U8, 0.5f, 1, side, side));
  CHECK(graph.steps > 3);
}

TEST_CASE("the place of a picture, the part that is asked for and the threads change no bit") {
  auto const* const format = babl_format("R'G'B'A u8");
  auto const bytes = draw(format);
  auto const whole = expected(bytes, 4, MIRNET_U8);
  int threads = 0;
  g_object_get(gegl_config(), "threads", &threads, nullptr);
  for (int const other : {1, 3}) {
    g_object_set(gegl_config(), "threads", other, nullptr);
    CHECK(Graph(format, bytes).result(format) == whole);
  }
  g_object_set(gegl_config(), "threads", threads, nullptr);
  CHECK(Graph(format, bytes, -7, 11).result(format) == whole);
  auto const part = Graph(format, bytes, -7, 11).result(format, {-7 + 5, 11 + 8, 20, 6});
  for (std::size_t y = 0; y < 6; ++y) {
    CHECK(std::equal(part.data() + y * 80, part.data() + (y + 1) * 80, whole.data() + ((y + 8) * width + 5) * 4));
  }
}

TEST_CASE("pictures of a single row, column or pixel") {
  auto const* const format = babl_format("R'G'B' u16");
  for (auto const& [columns, rows] : {std::pair(1, 1), {1, 30}, {30, 1}}) {
    auto const bytes = draw(format, columns, rows);
    CHECK(Graph(format, bytes, 0, 0, columns, rows).result(format) ==
          expected(bytes, 3, MIRNET_U16, 1, 0, columns, rows));
  }
}

TEST_CASE("the gamma of PNGs that stands for sRGB is read as it is, also from a profile made of it") {
  for (double const gamma : {1 / 0.45455, 144178 / 65536.0}) {
    CAPTURE(gamma);
    auto const* const format = babl_format_with_space("R'G'B' u8", space_of_gamma(gamma));
    auto const bytes = draw(format);
    CHECK(Graph(format, bytes).result(format) == expected(bytes, 3, MIRNET_U8));
  }
}

TEST_CASE("other colours are converted to sRGB and back") {
  auto const* const seen = babl_format("R'G'B'A float");
  auto const* const adobish = babl_format_with_space("R'G'B'A float", babl_space("Adobish"));
  // A profile's gamma of 2.2, as its two types of curves round it.
  auto const* const parametric = babl_format_with_space("R'G'B'A float", space_of_gamma(144179 / 65536.0));
  auto const* const simple = babl_format_with_space("R'G'B'A float", space_of_gamma(563 / 256.0));
  for (auto const& [format, shown, most] :
       {std::tuple(babl_format("RGBA float"), seen, 1e-4f), std::tuple(babl_format("RaGaBaA float"), seen, 1e-4f),
        std::tuple(adobish, adobish, 1e-4f), std::tuple(parametric, parametric, 1e-4f),
        std::tuple(simple, simple, 1e-4f),
        std::tuple(babl_format_with_space("R'G'B'A u8", babl_space("Adobish")), adobish, 0.5f / 255 + 1e-4f)}) {
    std::string const name = babl_get_name(format);
    CAPTURE(name);
    auto const bytes = converted(draw(shown), shown, format);
    auto const floats = converted(bytes, format, seen);
    auto const result = converted(Graph(format, bytes).result(format), format, shown);
    auto const right = converted(expected(floats, 4, MIRNET_F32), seen, shown);
    CHECK(difference(result, right) < most);
    CHECK(difference(result, converted(bytes, format, shown)) > 0.05f);
  }
}

TEST_CASE("the space of the input is that of the result") {
  auto const* const format = babl_format_with_space("R'G'B' u8", babl_space("Adobish"));
  Graph graph(format, draw(format));
  GeglBuffer* result = nullptr;
  auto* const sink = gegl_node_new_child(gegl_node_get_parent(graph.denoise), "operation", "gegl:buffer-sink", "buffer",
                                         &result, nullptr);
  gegl_node_link(graph.denoise, sink);
  gegl_node_process(sink);
  REQUIRE(result != nullptr);
  CHECK(babl_format_get_space(gegl_buffer_get_format(result)) == babl_space("Adobish"));
  g_object_unref(result);
}

TEST_CASE("weights that cannot be used leave nothing, say so once, and can be put right") {
  auto const* const format = babl_format("R'G'B' u8");
  auto const bytes = draw(format);
  Graph graph(format, bytes);
  gegl.told();
  for (char const* const path : {"/nowhere/x.mirw", MIRNET_WEIGHTS_OF_TWO_VIEWS}) {
    gegl_node_set(graph.denoise, "weights", path, nullptr);
    auto const bounds = gegl_node_get_bounding_box(graph.denoise);
    CHECK((bounds.width == 0 && bounds.height == 0));
    CHECK(graph.result(format) == Bytes(bytes.size()));
    auto const told = gegl.told();
    CAPTURE(told);
    CHECK(told.starts_with("mirnet:denoise: " + std::string(path) + ": "));
    CHECK(std::count(told.begin(), told.end(), '\n') == 1);
  }
  gegl_node_set(graph.denoise, "weights", MIRNET_WEIGHTS, nullptr);
  CHECK(graph.result(format) == expected(bytes, 3, MIRNET_U8));
  CHECK(gegl.told() == "");
}

TEST_CASE("weights that are put right at the same path are loaded") {
  auto const* const format = babl_format("R'G'B' u8");
  auto const bytes = draw(format);
  Graph graph(format, bytes);
  gegl.told();
  auto const path = std::filesystem::temp_directory_path() / ("mirnet-gegl-" + std::to_string(getpid()) + ".mirw");
  gegl_node_set(graph.denoise, "weights", path.c_str(), nullptr);
  CHECK(graph.result(format) == Bytes(bytes.size()));
  CHECK(graph.set(0.5, 0).result(format) == Bytes(bytes.size()));
  auto const told = gegl.told();
  CAPTURE(told);
  CHECK(std::count(told.begin(), told.end(), '\n') == 1);
  std::filesystem::copy_file(MIRNET_WEIGHTS, path);
  auto const result = graph.set(1, 0).result(format);
  std::filesystem::remove(path);
  CHECK(result == expected(bytes, 3, MIRNET_U8));
  CHECK(gegl.told() == "");
}

TEST_CASE("a handler of progress asks for the bounding box, and for the result with another strength") {
  auto const* const format = babl_format("R'G'B' u8");
  constexpr int side = 160;
  auto const bytes = draw(format, side, side);
  Graph graph(format, bytes, -7, 11, side, side);
  auto* const after = gegl_node_new_child(gegl_node_get_parent(graph.denoise), "operation", "gegl:nop", nullptr);
  gegl_node_link(graph.denoise, after);
  Bytes half(bytes.size());
  bool asked = false;
  graph.on_step = [&] {
    if (std::exchange(asked, true)) return;
    GeglRectangle const all{-7, 11, side, side};
    gegl_node_set(graph.denoise, "strength", 0.5, nullptr);
    auto const bounds = gegl_node_get_bounding_box(after);
    CHECK(gegl_rectangle_equal(&bounds, &all));
    gegl_node_blit(after, 1.0, &all, format, half.data(), GEGL_AUTO_ROWSTRIDE, GEGL_BLIT_DEFAULT);
    gegl_node_set(graph.denoise, "strength", 1.0, nullptr);
  };
  CHECK(graph.result(format) == expected(bytes, 3, MIRNET_U8, 1, 0, side, side));
  CHECK(asked);
  CHECK(half == expected(bytes, 3, MIRNET_U8, 0.5f, 0, side, side));
}

TEST_CASE("an infinite plane is refused, and nothing comes of no input") {
  gegl.told();
  auto bounds = gegl_node_get_bounding_box(Graph("gegl:checkerboard").denoise);
  CHECK((bounds.width == 0 && bounds.height == 0));
  CHECK(gegl.told().find("infinite plane") != std::string::npos);
  bounds = gegl_node_get_bounding_box(Graph(nullptr).denoise);
  CHECK((bounds.width == 0 && bounds.height == 0));
  CHECK(gegl.told() == "");
}

TEST_CASE("a reduced level shows the input") {
  auto const* const format = babl_format("R'G'B' u8");
  constexpr int side = 128;
  Graph graph(format, draw(format, side, side), 0, 0, side, side);
  g_object_set(gegl_config(), "mipmap-rendering", TRUE, nullptr);
  Bytes result(side / 2 * side / 2 * 3), reduced(result.size());
  GeglRectangle const half{0, 0, side / 2, side / 2};
  gegl_node_blit(graph.denoise, 0.5, &half, format, result.data(), GEGL_AUTO_ROWSTRIDE, GEGL_BLIT_DEFAULT);
  g_object_set(gegl_config(), "mipmap-rendering", FALSE, nullptr);
  gegl_buffer_get(graph.input(), &half, 0.5, format, reduced.data(), GEGL_AUTO_ROWSTRIDE, GEGL_ABYSS_NONE);
  CHECK(result == reduced);
  CHECK(graph.steps == 0);
}
