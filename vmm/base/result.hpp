// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error with a kind (which maps to an exit status) and a chain of context.
// No exceptions cross our interfaces. std::expected is absent from g++ 12 in C++20 mode, hence our
// own.
#pragma once

#include <fmt/core.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gpuvm {

/// What a user can do about an error decides its kind; the kind decides the exit status (sysexits
/// numbers).
enum class ErrorKind {
  kUsage,         ///< wrong command line: 64
  kHost,          ///< this host cannot do it (no KVM, no IOMMU, device busy): 69
  kWrongState,    ///< asked of a guest that is doing something else; ends no process by itself: 69
  kCancelled,     ///< broken off because nobody wants it any more; who broke it off knows: 70
  kInternal,      ///< a bug in gpuvm: 70
  kGuest,         ///< the guest broke a device's rules: the device's to bear, and no end of gpuvm
  kUnsafeDevice,  ///< a device did not come back from its reset: 75
  kConfig,        ///< wrong configuration or wrong file named by it: 78
};

/// The process exit status for an error of this kind.
constexpr int exit_status(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return 64;
    case ErrorKind::kHost:
    case ErrorKind::kWrongState:
      return 69;
    case ErrorKind::kCancelled:
    case ErrorKind::kInternal:
    case ErrorKind::kGuest:  // never leaves a device
      return 70;
    case ErrorKind::kUnsafeDevice:
      return 75;
    case ErrorKind::kConfig:
      return 78;
  }
  return 70;
}

/// One error: a short message (capital first letter, names the thing and the cure) and outer
/// context, innermost first.
class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }

  /// Adds what was being done when the error came up, for instance "Passing through 0000:01:00.0".
  Error with_context(std::string context) && {
    context_.push_back(std::move(context));
    return std::move(*this);
  }

  /// "outermost: …: innermost message", in one line.
  std::string to_string() const {
    std::string text;
    for (auto it = context_.rbegin(); it != context_.rend(); ++it) {
      text += *it + ": ";
    }
    return text + message_;
  }

 private:
  ErrorKind kind_;
  std::string message_;
  std::vector<std::string> context_;
};

/// A T or an Error. Converts implicitly from both, so `return value;` and `return fail(…);` both
/// work.
template <class T>
class [[nodiscard]] Result {
 public:
  using Value = T;
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

/// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  using Value = void;
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  void value() const {}

  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

/// Builds an Error with a formatted message: `return fail(ErrorKind::kHost, "Cannot open {}: {}",
/// path, reason);`.
template <class... Args>
Error fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

/// "Cannot open /dev/kvm: Permission denied" for the current (or given) errno.
Error fail_errno(ErrorKind kind, const std::string& what);
Error fail_errno(ErrorKind kind, const std::string& what, int error_number);

}  // namespace gpuvm

#define GPUVM_CONCAT_INNER(a, b) a##b
#define GPUVM_CONCAT(a, b) GPUVM_CONCAT_INNER(a, b)
#define GPUVM_TRY_IMPL(name, expression, ...)     \
  __extension__({                                 \
    auto name = (expression);                     \
    if (!name.has_value()) {                      \
      return std::move(name).error() __VA_ARGS__; \
    }                                             \
    std::move(name).value();                      \
  })

/// Yields the value of a Result or returns its error from the enclosing function.
#define TRY(...) GPUVM_TRY_IMPL(GPUVM_CONCAT(try_result_, __COUNTER__), (__VA_ARGS__))

/// As TRY, adding context to the error: `TRY_CONTEXT(open_group(n), "Opening IOMMU group")`.
#define TRY_CONTEXT(expression, context) \
  GPUVM_TRY_IMPL(GPUVM_CONCAT(try_result_, __COUNTER__), (expression), .with_context(context))
