// The door to JavaScript: `new Engine(threads, name)`, which runs commands, and whose other methods work on typed arrays in place. Shapes are checked
// before, in TypeScript.
#include <napi.h>
#include <uv.h>

#include <memory>

#include "choose-kernels.h"
#include "map-file.h"
#include "read-shapes.h"
#include "worker.h"

namespace fewbit {

namespace {

/** Grows with each change of what JavaScript sees here; src/addon.ts has the same. */
constexpr int version = 19;

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
    return DefineClass(env, "Engine",
                       {InstanceMethod("submit", &Engine::submit), InstanceMethod("settle", &Engine::settle),
                        InstanceMethod("finish", &Engine::finish), InstanceMethod("shorten", &Engine::shorten),
                        InstanceMethod("packedBytes", &Engine::packedBytes), InstanceMethod("levelsBytes", &Engine::levelsBytes),
                        InstanceMethod("gram", &Engine::gram), InstanceMethod("inverseCholesky", &Engine::inverseCholesky),
                        InstanceMethod("solve", &Engine::solve), InstanceMethod("subtractProduct", &Engine::subtractProduct),
                        InstanceMethod("product", &Engine::product), InstanceMethod("stream", &Engine::stream),
                        InstanceMethod("close", &Engine::close), InstanceAccessor<&Engine::description>("description")});
  }

  explicit Engine(const Napi::CallbackInfo &info) : ObjectWrap(info) {
    const int threads = info[0].As<Napi::Number>().Int32Value();
    const std::string name = info[1].As<Napi::String>();
    for (const Kernels *table : usableKernels())
      if (table->name == name) worker = std::make_unique<Worker>(threads, *table);
    if (worker == nullptr) throw Napi::Error::New(info.Env(), "this processor cannot run the kernels '" + name + "'");
    door = Napi::ThreadSafeFunction::New(info.Env(), Napi::Function(), "fewbit", 0, 1);
    door.Unref(info.Env());
  }

 private:
  Napi::Value description(const Napi::CallbackInfo &info) { return Napi::String::New(info.Env(), open().kernels.description); }

  void close(const Napi::CallbackInfo &) {
    open();
    worker.reset();
    door.Release();
  }

  void submit(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *commands = of.array<double>();
    open().submit(commands, size_t(of.index()));
  }

  void settle(const Napi::CallbackInfo &) {
    open().run([](Pool &, const Kernels &) {});
  }

  Napi::Value finish(const Napi::CallbackInfo &info) {
    auto promise = Napi::Promise::Deferred::New(info.Env());
    Worker &asked = open();
    if (running++ == 0) Ref(), door.Ref(info.Env());
    asked.finish([this, promise](std::string wrong) {
      door.BlockingCall([this, promise, wrong](Napi::Env env, Napi::Function) {
        if (--running == 0) Unref(), door.Unref(env);
        if (wrong.empty()) promise.Resolve(env.Undefined());
        else promise.Reject(Napi::Error::New(env, wrong).Value());
      });
    });
    return promise.Promise();
  }

  // Arguments are read into variables first: the order in which a call's own arguments are evaluated is not defined.
  Napi::Value shorten(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array();
    auto *out = of.array<uint16_t>();
    const Index count = of.index();
    const bool exact = open().run([&](Pool &pool, const Kernels &kernels) { return kernels.shorten(pool, x, out, count); });
    return Napi::Boolean::New(info.Env(), exact);
  }

  Napi::Value packedBytes(const Napi::CallbackInfo &info) {
    Arguments of(info);
    return Napi::Number::New(info.Env(), double(open().kernels.packedBytes(quantizedShape(of))));
  }

  Napi::Value levelsBytes(const Napi::CallbackInfo &info) {
    Arguments of(info);
    return Napi::Number::New(info.Env(), double(open().kernels.levelsBytes(levelsShape(of))));
  }

  void gram(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array(), *y = of.array();
    auto *into = of.array<double>();
    const Index rows = of.index(), a = of.index(), b = of.index();
    open().run([&](Pool &pool, const Kernels &kernels) { kernels.gram(pool, x, y, into, rows, a, b); });
  }

  Napi::Value inverseCholesky(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *h = of.array<double>();
    auto *upper = of.array<double>();
    const Index n = of.index();
    const bool found = open().run([&](Pool &pool, const Kernels &kernels) { return kernels.inverseCholesky(pool, h, upper, n); });
    return Napi::Boolean::New(info.Env(), found);
  }

  Napi::Value solve(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *h = of.array<double>();
    const Index n = of.index();
    const auto *b = of.array<double>();
    auto *out = of.array<double>();
    const Index rows = of.index();
    const bool found = open().run([&](Pool &pool, const Kernels &kernels) { return kernels.solve(pool, h, n, b, out, rows); });
    return Napi::Boolean::New(info.Env(), found);
  }

  void subtractProduct(const Napi::CallbackInfo &info) {
    Arguments of(info);
    auto *c = of.array<double>();
    const auto *a = of.array<double>(), *b = of.array<double>();
    UpdateShape shape{};
    for (Index *size : {&shape.rows, &shape.k, &shape.n, &shape.bRow, &shape.cStart}) *size = of.index();
    open().run([&](Pool &pool, const Kernels &kernels) { kernels.subtractProduct(pool, c, a, b, shape); });
  }

  void product(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *a = of.array<double>(), *b = of.array<double>();
    auto *c = of.array<double>();
    const Index rows = of.index(), k = of.index(), n = of.index();
    open().run([&](Pool &pool, const Kernels &kernels) { kernels.product(pool, a, b, c, rows, k, n); });
  }

  Napi::Value stream(const Napi::CallbackInfo &info) {
    Arguments of(info);
    const auto *x = of.array();
    const Index count = of.index();
    return Napi::Number::New(info.Env(), open().run([&](Pool &pool, const Kernels &kernels) { return kernels.stream(pool, x, count); }));
  }

  Worker &open() const {
    if (worker == nullptr) throw Napi::Error::New(Env(), "the backend is closed");
    return *worker;
  }

  std::unique_ptr<Worker> worker;
  /** To JavaScript's thread; it and this object stay alive while calls of `finish` run. */
  Napi::ThreadSafeFunction door;
  int running = 0;
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
  const auto release = [](Napi::Env, void *at, void *size) { freeLines(static_cast<char *>(at), reinterpret_cast<size_t>(size)); };
  return Napi::ArrayBuffer::New(info.Env(), memory, bytes, release, reinterpret_cast<void *>(bytes));
}

/** Bytes of an open file in place, until nobody knows them any more; undefined where the system cannot map them. The ArrayBuffer begins at a page. */
Napi::Value mapBytes(const Napi::CallbackInfo &info) {
  const int file = info[0].As<Napi::Number>().Int32Value();
  const int64_t offset = info[1].As<Napi::Number>().Int64Value(), length = info[2].As<Napi::Number>().Int64Value();
  FileMap map{};
  if (offset < 0 || length <= 0 || !mapFile(uv_get_osfhandle(file), uint64_t(offset), size_t(length), map)) return info.Env().Undefined();
  const auto release = [](Napi::Env, void *, FileMap *held) {
    unmapFile(*held);
    delete held;
  };
  const auto pages = Napi::ArrayBuffer::New(info.Env(), map.begin, map.size, release, new FileMap(map));
  return Napi::Uint8Array::New(info.Env(), size_t(length), pages, map.lead);
}

/** Takes the pages of such an ArrayBuffer out of memory until they are used again. */
void discard(const Napi::CallbackInfo &info) {
  auto pages = info[0].As<Napi::ArrayBuffer>();
  discardPages({static_cast<char *>(pages.Data()), pages.ByteLength(), 0});
}

/** Of an ArrayBuffer; it does not move. */
Napi::Value addressOf(const Napi::CallbackInfo &info) {
  return Napi::Number::New(info.Env(), double(reinterpret_cast<uintptr_t>(info[0].As<Napi::ArrayBuffer>().Data())));
}

Napi::Object start(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", Engine::define(env));
  exports.Set("instructionSets", Napi::Function::New(env, instructionSets));
  exports.Set("allocate", Napi::Function::New(env, allocate));
  exports.Set("mapFile", Napi::Function::New(env, mapBytes));
  exports.Set("discard", Napi::Function::New(env, discard));
  exports.Set("addressOf", Napi::Function::New(env, addressOf));
  exports.Set("version", Napi::Number::New(env, version));
  return exports;
}

}  // namespace

NODE_API_MODULE(fewbit_cpu, start)

}  // namespace fewbit
