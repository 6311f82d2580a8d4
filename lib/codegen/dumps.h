/// \file What the code generators share: dumps, times, and errors as text.
#pragma once

#include "lib/codegen/codegen.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <string>

namespace semdns::codegen {

inline llvm::Error fail(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// Reports how long a scope took.
class Step {
public:
  Step(const DumpOptions *options, llvm::StringRef name)
      : options_(options), name_(name), begin_(std::chrono::steady_clock::now()) {}
  ~Step() {
    if (options_ && options_->timing)
      options_->timing(
          name_, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count());
  }
  Step(const Step &) = delete;
  Step &operator=(const Step &) = delete;

private:
  const DumpOptions *options_;
  llvm::StringRef name_;
  std::chrono::steady_clock::time_point begin_;
};

inline bool wantsDump(const DumpOptions *options) { return options && options->dump; }

template <typename Printer>
void dump(const DumpOptions *options, llvm::StringRef phase, Printer &&print) {
  if (!wantsDump(options))
    return;
  std::string text;
  llvm::raw_string_ostream out(text);
  print(out);
  options->dump(phase, text);
}

/// Keeps the errors that MLIR reports while it lives, instead of printing them.
class ErrorCollector {
public:
  explicit ErrorCollector(mlir::MLIRContext &context)
      : handler_(&context, [this](mlir::Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error)
            text_ += (text_.empty() ? "" : "; ") + diagnostic.str();
          return mlir::success();
        }) {}
  const std::string &text() const { return text_; }

private:
  std::string text_;
  mlir::ScopedDiagnosticHandler handler_;
};

} // namespace semdns::codegen
