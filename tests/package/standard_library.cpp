// Whether a compiler has the standard library that its flags name.
#include <version>
