// Memory that ends where an unreadable page begins: one byte read past it stops the test.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <span>

namespace karat {

class Guarded {
 public:
  explicit Guarded(std::size_t size) : size_(size) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    usable_ = (size + page - 1) / page * page;
    total_ = usable_ + page;
    void* base = mmap(nullptr, total_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(base);
    if (mprotect(base_ + usable_, page, PROT_NONE) != 0) throw std::bad_alloc();
  }
  explicit Guarded(std::span<const std::byte> bytes) : Guarded(bytes.size()) {
    if (!bytes.empty()) std::memcpy(data(), bytes.data(), bytes.size());
  }
  ~Guarded() {
    if (base_ != nullptr) munmap(base_, total_);
  }
  Guarded(Guarded&& other) noexcept
      : base_(other.base_), size_(other.size_), usable_(other.usable_), total_(other.total_) {
    other.base_ = nullptr;
  }
  Guarded& operator=(Guarded&&) = delete;

  std::byte* data() const { return base_ + usable_ - size_; }
  float* floats() const { return reinterpret_cast<float*>(data()); }
  std::size_t size() const { return size_; }

 private:
  std::byte* base_ = nullptr;
  std::size_t size_ = 0, usable_ = 0, total_ = 0;
};

}  // namespace karat
