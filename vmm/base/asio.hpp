// SPDX-License-Identifier: Apache-2.0
// The only way to include Boost.Asio: Boost 1.74 with g++ 12 in C++20 mode needs <utility> first.
#pragma once

#include <utility>  // before Asio, see above

#include <boost/asio.hpp>
