#include "colour.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <optional>

#if MIRNET_HAS_LCMS
#include <lcms2.h>
#endif

namespace cli {

using mirnet::Index;

namespace {

std::array<double, 9> product(std::array<double, 9> const& a, std::array<double, 9> const& b) {
  std::array<double, 9> result{};
  for (std::size_t i = 0; i < 9; ++i) {
    for (std::size_t k = 0; k < 3; ++k) result[i] += a[i / 3 * 3 + k] * b[k * 3 + i % 3];
  }
  return result;
}

/// By cofactors; nothing where there is none.
std::optional<std::array<double, 9>> inverted(std::array<double, 9> const& m) {
  auto const minor = [&](std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
    return m[a] * m[d] - m[b] * m[c];
  };
  double const determinant = m[0] * minor(4, 5, 7, 8) - m[1] * minor(3, 5, 6, 8) + m[2] * minor(3, 4, 6, 7);
  if (!(std::fabs(determinant) > 1e-6) || !(std::fabs(determinant) < 1e6)) return {};
  std::array<double, 9> result = {minor(4, 5, 7, 8), minor(2, 1, 8, 7), minor(1, 2, 4, 5),
                                  minor(5, 3, 8, 6), minor(0, 2, 6, 8), minor(2, 0, 5, 3),
                                  minor(3, 4, 6, 7), minor(1, 0, 7, 6), minor(0, 1, 3, 4)};
  for (auto& value : result) value /= determinant;
  return result;
}

/// sRGB's curve (IEC 61966-2-1) and its inverse; below 0 they go on as they begin.
float srgb_from_linear(float x) { return x <= 0.0031308f ? 12.92f * x : 1.055f * std::pow(x, 1 / 2.4f) - 0.055f; }
float linear_from_srgb(float x) { return x <= 0.04045f ? x / 12.92f : std::pow((x + 0.055f) / 1.055f, 2.4f); }

// Between samples, and beyond the first and the last, curves are straight, so that the way back is exact.
float along(ColourConversion::Curve const& curve, float x) {
  constexpr int steps = ColourConversion::steps;
  float const place = x * steps;
  int const step = place <= 0 ? 0 : place >= steps - 1 ? steps - 1 : static_cast<int>(place);
  auto const i = static_cast<std::size_t>(step);
  return curve[i] + (place - static_cast<float>(step)) * (curve[i + 1] - curve[i]);
}
float against(ColourConversion::Curve const& curve, float y) {
  constexpr int steps = ColourConversion::steps;
  auto const above = std::upper_bound(curve.begin() + 1, curve.end() - 1, y);
  auto const i = static_cast<std::size_t>(above - curve.begin()) - 1;
  return (static_cast<float>(i) + (y - curve[i]) / (curve[i + 1] - curve[i])) / steps;
}

void transform(std::array<float, 9> const& matrix, float* colour) {
  float const r = colour[0], g = colour[1], b = colour[2];
  for (std::size_t c = 0; c < 3; ++c) colour[c] = matrix[3 * c] * r + matrix[3 * c + 1] * g + matrix[3 * c + 2] * b;
}

}  // namespace

bool ColourConversion::prepare() {
  for (auto const& curve : curves_) {
    for (std::size_t i = 0; i < curve.size(); ++i) {
      if (!(std::fabs(curve[i]) < 1e3f)) return false;
      if (i > 0 && !(curve[i] > curve[i - 1])) return false;
    }
  }
  for (double const value : matrix_) {
    if (!(std::fabs(value) < 1e3)) return false;
  }
  auto const inverse = inverted(matrix_);
  if (!inverse || (colours_ != 1 && colours_ != 3)) return false;
  for (std::size_t i = 0; i < 9; ++i) {
    there_[i] = static_cast<float>(matrix_[i]);
    back_[i] = static_cast<float>((*inverse)[i]);
  }
  return true;
}

void ColourConversion::to_network(float* pixels, Index count) const {
  for (Index i = 0; i < count; ++i, pixels += colours_) {
    for (int c = 0; c < colours_; ++c) pixels[c] = along(curves_[static_cast<std::size_t>(c)], pixels[c]);
    if (colours_ == 3) transform(there_, pixels);
    for (int c = 0; c < colours_; ++c) pixels[c] = srgb_from_linear(pixels[c]);
  }
}

void ColourConversion::from_network(float* pixels, Index count) const {
  for (Index i = 0; i < count; ++i, pixels += colours_) {
    for (int c = 0; c < colours_; ++c) pixels[c] = linear_from_srgb(pixels[c]);
    if (colours_ == 3) transform(back_, pixels);
    for (int c = 0; c < colours_; ++c) pixels[c] = against(curves_[static_cast<std::size_t>(c)], pixels[c]);
  }
}

Bytes ColourConversion::to_bytes() const {
  Bytes bytes(sizeof colours_ + sizeof curves_ + sizeof matrix_);
  std::memcpy(bytes.data(), &colours_, sizeof colours_);
  std::memcpy(bytes.data() + sizeof colours_, &curves_, sizeof curves_);
  std::memcpy(bytes.data() + sizeof colours_ + sizeof curves_, &matrix_, sizeof matrix_);
  return bytes;
}

std::unique_ptr<ColourConversion> ColourConversion::from_bytes(std::span<std::byte const> bytes) {
  std::unique_ptr<ColourConversion> conversion(new ColourConversion);
  auto& [colours, curves, matrix, there, back] = *conversion;
  if (bytes.size() != sizeof colours + sizeof curves + sizeof matrix) return nullptr;
  std::memcpy(&colours, bytes.data(), sizeof colours);
  std::memcpy(&curves, bytes.data() + sizeof colours, sizeof curves);
  std::memcpy(&matrix, bytes.data() + sizeof colours + sizeof curves, sizeof matrix);
  return conversion->prepare() ? std::move(conversion) : nullptr;
}

#if MIRNET_HAS_LCMS

namespace {

struct CloseProfile {
  void operator()(void* profile) const { cmsCloseProfile(profile); }
};
using Profile = std::unique_ptr<void, CloseProfile>;

struct FreeCurve {
  void operator()(cmsToneCurve* curve) const { cmsFreeToneCurve(curve); }
};
using Curve = std::unique_ptr<cmsToneCurve, FreeCurve>;

Curve parametric(int type, std::initializer_list<double> parameters) {
  return Curve(cmsBuildParametricToneCurve(nullptr, type, parameters.begin()));
}

/// IEC 61966-2-1: linear below 0.04045.
Curve srgb_curve() { return parametric(4, {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045}); }

/// A transfer characteristic of ITU-T H.273, table 3; null for those that this does not convert.
Curve transfer_curve(int transfer) {
  switch (transfer) {
    case 1:
    case 6:
    case 14:
    case 15: {
      constexpr double a = 1.09929682680944, b = 0.018053968510807;  // where the line meets the power
      return parametric(4, {1 / 0.45, 1 / a, (a - 1) / a, 1 / 4.5, 4.5 * b});
    }
    case 4: return parametric(1, {2.2});
    case 5: return parametric(1, {2.8});
    case 8: return parametric(1, {1.0});
    case 13: return srgb_curve();
    default: return nullptr;
  }
}

constexpr cmsCIExyY white_d65{0.3127, 0.3290, 1};

struct Primaries {
  cmsCIExyY white;
  cmsCIExyYTRIPLE colours;
};

constexpr Primaries srgb_primaries{white_d65, {{0.64, 0.33, 1}, {0.30, 0.60, 1}, {0.15, 0.06, 1}}};

/// Colour primaries of ITU-T H.273, table 2.
std::optional<Primaries> primaries_of(int number) {
  switch (number) {
    case 1: return srgb_primaries;
    case 5: return Primaries{white_d65, {{0.64, 0.33, 1}, {0.29, 0.60, 1}, {0.15, 0.06, 1}}};
    case 6:
    case 7: return Primaries{white_d65, {{0.63, 0.34, 1}, {0.31, 0.595, 1}, {0.155, 0.07, 1}}};
    case 9: return Primaries{white_d65, {{0.708, 0.292, 1}, {0.170, 0.797, 1}, {0.131, 0.046, 1}}};
    case 12: return Primaries{white_d65, {{0.680, 0.320, 1}, {0.265, 0.690, 1}, {0.150, 0.060, 1}}};
    default: return {};
  }
}

Profile make_profile(Primaries const& primaries, Curve const& curve, Index colours) {
  if (!curve) return nullptr;
  if (colours == 1) return Profile(cmsCreateGrayProfile(cmsD50_xyY(), curve.get()));
  cmsToneCurve* const curves[] = {curve.get(), curve.get(), curve.get()};
  return Profile(cmsCreateRGBProfile(&primaries.white, &primaries.colours, curves));
}

/// cICP comes before sRGB, and that before gAMA and cHRM (PNG, third edition, 4.3).
Profile profile_from(ColourTags const& tags, Index colours) {
  if (tags.has_cicp()) {
    auto const primaries = primaries_of(tags.cicp[0]);
    return primaries ? make_profile(*primaries, transfer_curve(tags.cicp[1]), colours) : nullptr;
  }
  if (tags.intent >= 0) return nullptr;
  if (tags.gamma == 0 && !tags.has_chromaticities()) return nullptr;
  auto primaries = srgb_primaries;
  if (tags.has_chromaticities()) {
    auto const xy = [&](std::size_t i) {
      return cmsCIExyY{1e-5 * tags.chromaticities[2 * i], 1e-5 * tags.chromaticities[2 * i + 1], 1};
    };
    primaries = {xy(0), {xy(1), xy(2), xy(3)}};
  }
  // The exponent is that of the file's samples. 45455 stands for sRGB's curve in most files that say nothing better.
  constexpr std::uint32_t usual = 45455;
  auto const curve = tags.gamma == 0 || tags.gamma == usual ? srgb_curve() : parametric(1, {1e5 / tags.gamma});
  return make_profile(primaries, curve, colours);
}

using Matrix = std::array<double, 9>;

/// The linear colours' XYZ, relative to the white of profiles (D50), by columns; nothing where the profile has none.
std::optional<Matrix> colorants(void* profile) {
  Matrix matrix{};
  constexpr cmsTagSignature tags[] = {cmsSigRedColorantTag, cmsSigGreenColorantTag, cmsSigBlueColorantTag};
  for (std::size_t c = 0; c < 3; ++c) {
    auto const* const xyz = static_cast<cmsCIEXYZ const*>(cmsReadTag(profile, tags[c]));
    if (xyz == nullptr) return {};
    matrix[c] = xyz->X;
    matrix[3 + c] = xyz->Y;
    matrix[6 + c] = xyz->Z;
  }
  return matrix;
}

/// False where the profile has no such curve.
bool sample_curve(void* profile, cmsTagSignature tag, ColourConversion::Curve& samples) {
  auto const* const curve = static_cast<cmsToneCurve const*>(cmsReadTag(profile, tag));
  if (curve == nullptr) return false;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    samples[i] = cmsEvalToneCurveFloat(curve, static_cast<float>(i) / ColourConversion::steps);
  }
  return true;
}

}  // namespace

std::unique_ptr<ColourConversion> ColourConversion::of(Metadata const& metadata, Index colours) {
  cmsSetLogErrorHandler([](cmsContext, cmsUInt32Number, char const*) {});  // what is damaged is not converted
  auto const& icc = metadata.icc;
  Profile const own = icc.empty()
                          ? profile_from(metadata.colour, colours)
                          : Profile(cmsOpenProfileFromMem(icc.data(), static_cast<cmsUInt32Number>(icc.size())));
  if (!own || cmsGetColorSpace(own.get()) != (colours == 1 ? cmsSigGrayData : cmsSigRgbData)) return nullptr;
  std::unique_ptr<ColourConversion> conversion(new ColourConversion);
  conversion->colours_ = static_cast<int>(colours);
  if (colours == 1) {
    if (!sample_curve(own.get(), cmsSigGrayTRCTag, conversion->curves_[0])) return nullptr;
    conversion->curves_[1] = conversion->curves_[2] = conversion->curves_[0];
    conversion->matrix_ = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  } else {
    // Tables for a device come before matrix and curves, which are there for programs that know no tables.
    if (cmsIsMatrixShaper(own.get()) == FALSE || cmsIsTag(own.get(), cmsSigAToB0Tag) != FALSE) return nullptr;
    constexpr cmsTagSignature tags[] = {cmsSigRedTRCTag, cmsSigGreenTRCTag, cmsSigBlueTRCTag};
    for (std::size_t c = 0; c < 3; ++c) {
      if (!sample_curve(own.get(), tags[c], conversion->curves_[c])) return nullptr;
    }
    Profile const srgb = make_profile(srgb_primaries, srgb_curve(), 3);
    auto const from = colorants(own.get()), to = srgb ? colorants(srgb.get()) : std::nullopt;
    auto const inverse = to ? inverted(*to) : std::nullopt;
    if (!from || !inverse) return nullptr;
    conversion->matrix_ = product(*inverse, *from);
  }
  if (!conversion->prepare()) return nullptr;
  // What differs by less than the steps of 8 bits in a photograph is sRGB.
  constexpr float close = 2.0f / 255;
  constexpr int levels = 8;
  for (int i = 0; i < levels * levels * levels; ++i) {
    std::array<float, 3> colour;
    for (std::size_t c = 0; c < 3; ++c) {
      int const place = c == 0 ? i : c == 1 ? i / levels : i / levels / levels;
      colour[c] = static_cast<float>(place % levels) / (levels - 1);
    }
    auto seen = colour;
    conversion->to_network(seen.data(), colours == 1 ? 3 : 1);
    for (std::size_t c = 0; c < 3; ++c) {
      if (std::fabs(seen[c] - colour[c]) >= close) return conversion;
    }
  }
  return nullptr;
}

bool cmyk_to_srgb(std::span<std::byte const> icc, std::byte const* from, std::byte* to, std::size_t pixels,
                  bool inverted) {
  cmsSetLogErrorHandler([](cmsContext, cmsUInt32Number, char const*) {});
  Profile const ink(cmsOpenProfileFromMem(icc.data(), static_cast<cmsUInt32Number>(icc.size())));
  if (!ink || cmsGetColorSpace(ink.get()) != cmsSigCmykData) return false;
  Profile const srgb(cmsCreate_sRGBProfile());
  auto* const transform = srgb ? cmsCreateTransform(ink.get(), inverted ? TYPE_CMYK_8_REV : TYPE_CMYK_8, srgb.get(),
                                                    TYPE_RGB_8, INTENT_PERCEPTUAL, 0)
                               : nullptr;
  if (transform == nullptr) return false;
  for (constexpr std::size_t most = std::size_t{1} << 20; pixels > 0;) {  // counts are of 32 bits
    auto const count = std::min(pixels, most);
    cmsDoTransform(transform, from, to, static_cast<cmsUInt32Number>(count));
    from += 4 * count;
    to += 3 * count;
    pixels -= count;
  }
  cmsDeleteTransform(transform);
  return true;
}

Bytes profile_of(ColourTags const& tags, Index colours) {
  Profile const profile = profile_from(tags, colours);
  cmsUInt32Number size = 0;
  if (!profile || cmsSaveProfileToMem(profile.get(), nullptr, &size) == FALSE) return {};
  Bytes bytes(size);
  if (cmsSaveProfileToMem(profile.get(), bytes.data(), &size) == FALSE) return {};
  return bytes;
}

#else

std::unique_ptr<ColourConversion> ColourConversion::of(Metadata const&, Index) { return nullptr; }
bool cmyk_to_srgb(std::span<std::byte const>, std::byte const*, std::byte*, std::size_t, bool) { return false; }
Bytes profile_of(ColourTags const&, Index) { return {}; }

#endif

}  // namespace cli
