// The door to JavaScript: `new Engine(threads, name)`, whose methods take typed arrays and work on them in place. Shapes are checked before, in TypeScript.
#include <napi.h>

#include <memory>

#include "choose-kernels.h"

namespace fewbit {

namespace {

/** A call's arguments, read one after the other. */
class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo &info) : info(info) {}
  template <class T = float>
  T *array() {
    const Napi::Value value = info[next++];
    return value.IsTypedArray() ? static_cast<T *>(data(value)) : nullptr;
  }
  Index index() { return info[next++].As<Napi::Number>().Int64Value(); }
  double number() { return info[next++].As<Napi::Number>().DoubleValue(); }
  bool flag() { return info[next++].As<Napi::Boolean>().Value(); }
  QuantizedShape quantized() {
    QuantizedShape shape{};
    for (Index *size : {&shape.rows, &shape.cols, &shape.group}) *size = index();
    shape.slot = int(index());
    shape.scaleType = static_cast<ScaleType>(index());
    shape.ownZeros = flag();
    shape.zero = int(index());
    return shape;
  }
  Activation activation() { return static_cast<Activation>(index()); }

 private:
  void *data(const Napi::Value &value) {
    void *at = nullptr;
    napi_get_typedarray_info(info.Env(), value, nullptr, nullptr, &at, nullptr, nullptr);
    return at;
  }
  const Napi::CallbackInfo &info;
  size_t next = 0;
};

class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Engine",
        {InstanceMethod("matmul", &Engine::matmul), InstanceMethod("matmulShort", &Engine::matmulShort), InstanceMethod("shorten", &Engine::shorten),
         InstanceMethod("widenRows", &Engine::widenRows), InstanceMethod("packedBytes", &Engine::packedBytes),
         InstanceMethod("packCodes", &Engine::packCodes), InstanceMethod("matmulQuantized", &Engine::matmulQuantized),
         InstanceMethod("gram", &Engine::gram),
         InstanceMethod("inverseCholesky", &Engine::inverseCholesky), InstanceMethod("solve", &Engine::solve),
         InstanceMethod("subtractProduct", &Engine::subtractProduct), InstanceMethod("product", &Engine::product),
         InstanceMethod("attention", &Engine::attention), InstanceMethod("rmsNorm", &Engine::rmsNorm),
         InstanceMethod("layerNorm", &Engine::layerNorm), InstanceMethod("rotate", &Engine::rotate), InstanceMethod("add", &Engine::add),
         InstanceMethod("scale", &Engine::scale), InstanceMethod("softcap", &Engine::softcap), InstanceMethod("activate", &Engine::activate),
         InstanceMethod("gated", &Engine::gated), InstanceMethod("crossEntropy", &Engine::crossEntropy),
         InstanceMethod("copyRows", &Engine::copyRows), InstanceMethod("stream", &Engine::stream), InstanceMethod("close", &Engine::close),
         InstanceAccessor<&Engine::description>("description")});
  }

  explicit Engine(const Napi::CallbackInfo &info) : ObjectWrap(info) {
    const int threads = info[0].As<Napi::Number>().Int32Value();
    const std::string name = info[1].As<Napi::String>();
    for (const Kernels *table : usableKernels())
      if (table->name == name) kernels = table;
    if (kernels == nullptr) throw Napi::Error::New(info.Env(), "this processor cannot run the kernels '" + name + "'");
    pool = std::make_unique<Pool>(threads);
  }

 private:
  Napi::Value description(const Napi::CallbackInfo &info) { return Napi::String::New(info.Env(), kernels->description); }

  void close(const Napi::CallbackInfo &) { pool.reset(); }

  // Arguments are read into variables first: the order in which a call's own arguments are evaluated is not defined.
  void matmul(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array(), *w = of.array(), *bias = of.array();
    auto *out = of.array();
    const Index m = of.index(), k = of.index(), n = of.index();
    kernels->matmul(*pool, x, w, bias, out, m, k, n);
  }

  void matmulShort(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array();
    const auto *w = of.array<uint16_t>();
    const auto *bias = of.array();
    auto *out = of.array();
    const Index m = of.index(), k = of.index(), n = of.index();
    kernels->matmulShort(*pool, x, w, bias, out, m, k, n);
  }

  Napi::Value shorten(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array();
    auto *out = of.array<uint16_t>();
    return Napi::Boolean::New(info.Env(), kernels->shorten(*pool, x, out, of.index()));
  }

  void widenRows(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *table = of.array<uint16_t>();
    const auto *indices = of.array<uint32_t>();
    auto *out = of.array();
    const Index rows = of.index(), n = of.index();
    kernels->widenRows(*pool, table, indices, out, rows, n);
  }

  Napi::Value packedBytes(const Napi::CallbackInfo &info) {
    return Napi::Number::New(info.Env(), double(kernels->packedBytes(Arguments(info).quantized())));
  }

  void packCodes(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *codes = of.array<uint8_t>();
    const auto *scales = of.array();
    const auto *zeros = of.array<uint8_t>();
    const Index tileRows = of.index();
    auto *packed = of.array<char>();
    kernels->packCodes(*pool, codes, scales, zeros, tileRows, of.quantized(), packed);
  }

  void matmulQuantized(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array();
    const auto *packed = of.array<char>();
    const auto *bias = of.array();
    auto *out = of.array();
    const Index m = of.index();
    kernels->matmulQuantized(*pool, x, packed, of.quantized(), bias, out, m);
  }

  void gram(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array(), *y = of.array();
    auto *into = of.array<double>();
    const Index rows = of.index(), a = of.index(), b = of.index();
    kernels->gram(*pool, x, y, into, rows, a, b);
  }

  Napi::Value inverseCholesky(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *h = of.array<double>();
    auto *upper = of.array<double>();
    const Index n = of.index();
    return Napi::Boolean::New(info.Env(), kernels->inverseCholesky(*pool, h, upper, n));
  }

  Napi::Value solve(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *h = of.array<double>();
    const Index n = of.index();
    const auto *b = of.array<double>();
    auto *out = of.array<double>();
    const Index rows = of.index();
    return Napi::Boolean::New(info.Env(), kernels->solve(*pool, h, n, b, out, rows));
  }

  void subtractProduct(const Napi::CallbackInfo &info) {
    Arguments of(info);
    auto *c = of.array<double>();
    const auto *a = of.array<double>(), *b = of.array<double>();
    UpdateShape shape{};
    for (Index *size : {&shape.rows, &shape.k, &shape.n, &shape.bRow, &shape.cStart}) *size = of.index();
    kernels->subtractProduct(*pool, c, a, b, shape);
  }

  void product(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *a = of.array<double>(), *b = of.array<double>();
    auto *c = of.array<double>();
    const Index rows = of.index(), k = of.index(), n = of.index();
    kernels->product(*pool, a, b, c, rows, k, n);
  }

  void attention(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *q = of.array(), *k = of.array(), *v = of.array();
    auto *out = of.array();
    AttentionShape shape{};
    for (Index *size : {&shape.m, &shape.heads, &shape.keyValueHeads, &shape.headSize, &shape.start, &shape.window}) *size = of.index();
    shape.scale = float(of.number());
    shape.softcap = float(of.number());
    kernels->attention(*pool, q, k, v, out, shape);
  }

  void rmsNorm(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array(), *gain = of.array();
    auto *out = of.array();
    const Index rows = of.index(), n = of.index();
    const double epsilon = of.number(), gainOffset = of.number();
    kernels->rmsNorm(*pool, x, gain, out, rows, n, epsilon, float(gainOffset));
  }

  void layerNorm(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array(), *gain = of.array(), *bias = of.array();
    auto *out = of.array();
    const Index rows = of.index(), n = of.index();
    const double epsilon = of.number();
    kernels->layerNorm(*pool, x, gain, bias, out, rows, n, epsilon);
  }

  void rotate(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array();
    auto *out = of.array();
    const Index m = of.index(), width = of.index(), headSize = of.index();
    const auto *frequencies = of.array();
    const Index pairs = of.index();
    const double amplitude = of.number();
    const Index start = of.index();
    kernels->rotate(*pool, x, out, m, width, headSize, frequencies, pairs, amplitude, start);
  }

  void add(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *a = of.array(), *b = of.array();
    auto *out = of.array();
    const Index rows = of.index(), n = of.index();
    kernels->add(*pool, a, b, out, rows, n, of.flag());
  }

  void scale(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array();
    auto *out = of.array();
    const Index count = of.index();
    kernels->scale(*pool, x, out, count, float(of.number()));
  }

  void softcap(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array();
    auto *out = of.array();
    const Index count = of.index();
    kernels->softcap(*pool, x, out, count, float(of.number()));
  }

  void activate(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array();
    auto *out = of.array();
    const Index count = of.index();
    kernels->activate(*pool, x, out, count, of.activation());
  }

  void gated(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *gate = of.array(), *up = of.array();
    auto *out = of.array();
    const Index count = of.index();
    kernels->gated(*pool, gate, up, out, count, of.activation());
  }

  void crossEntropy(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *logits = of.array();
    const auto *targets = of.array<uint32_t>();
    auto *out = of.array();
    const Index m = of.index(), n = of.index();
    kernels->crossEntropy(*pool, logits, targets, out, m, n);
  }

  /** Counts are in floats. */
  void copyRows(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *from = of.array();
    const Index first = of.index(), fromStride = of.index();
    const auto *indices = of.array<uint32_t>();
    auto *to = of.array();
    const Index toFirst = of.index(), toStride = of.index(), rows = of.index(), count = of.index();
    kernels->copyRows(*pool, reinterpret_cast<const char *>(from + first), fromStride * 4, indices, reinterpret_cast<char *>(to + toFirst),
                      toStride * 4, rows, count * 4);
  }

  Napi::Value stream(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array();
    return Napi::Number::New(info.Env(), kernels->stream(*pool, x, of.index()));
  }

  const Kernels *kernels = nullptr;
  std::unique_ptr<Pool> pool;
};

/** The names of the tables that run here, the fastest first. */
Napi::Value instructionSets(const Napi::CallbackInfo &info) {
  const auto tables = usableKernels();
  Napi::Array names = Napi::Array::New(info.Env(), tables.size());
  for (size_t i = 0; i < tables.size(); i++) names.Set(i, tables[i]->name);
  return names;
}

/** Whole cache lines outside of JavaScript's heap; freed with the ArrayBuffer. */
Napi::Value allocate(const Napi::CallbackInfo &info) {
  const size_t bytes = info[0].As<Napi::Number>().Int64Value();
  char *memory = allocateLines(bytes);
  return Napi::ArrayBuffer::New(info.Env(), memory, bytes, [](Napi::Env, void *at) { freeLines(static_cast<char *>(at)); });
}

Napi::Object start(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", Engine::define(env));
  exports.Set("instructionSets", Napi::Function::New(env, instructionSets));
  exports.Set("allocate", Napi::Function::New(env, allocate));
  return exports;
}

}  // namespace

NODE_API_MODULE(fewbit_cpu, start)

}  // namespace fewbit
