// What the start-up code offers.
#pragma once

#include <cstddef>

/// What the board is for; called once, when memory is as C++ expects it. The exit code of the emulator.
int application();

namespace board {

/// Bytes of the stack that have been used since the reset: it was painted then.
std::size_t stack_used() noexcept;

}  // namespace board
