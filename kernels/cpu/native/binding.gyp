{
  "target_defaults": {
    "cflags": ["-O3", "-fvisibility=hidden", "-Wall", "-Wextra"],
    "cflags_cc": ["-std=c++17"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-fno-exceptions", "-fno-rtti"],
    "cflags!": ["-fno-exceptions"],
    "msvs_settings": { "VCCLCompilerTool": { "ExceptionHandling": 1 } },
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "GCC_OPTIMIZATION_LEVEL": "3",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "MACOSX_DEPLOYMENT_TARGET": "11.0"
    }
  },
  "targets": [
    {
      "target_name": "fewbit_cpu",
      "sources": ["addon.cc", "commands.cc", "map-file.cc", "pool.cc"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL"],
      "dependencies": ["portable"],
      "conditions": [
        ["target_arch=='x64'", { "dependencies": ["avx2", "avx2vnni", "avx512", "avx512vnni"] }],
        ["target_arch=='arm64'", { "dependencies": ["neon", "neondot"] }]
      ]
    },
    {
      "target_name": "portable",
      "type": "static_library",
      "sources": ["kernels.cc"],
      "defines": ["FEWBIT_ISA=0"]
    }
  ],
  "conditions": [
    ["target_arch=='x64'", {
      "targets": [
        {
          "target_name": "avx2",
          "type": "static_library",
          "sources": ["kernels.cc"],
          "defines": ["FEWBIT_ISA=1"],
          "cflags": ["-mavx2", "-mfma", "-mf16c"],
          "xcode_settings": { "OTHER_CFLAGS": ["-mavx2", "-mfma", "-mf16c"] }
        },
        {
          "target_name": "avx2vnni",
          "type": "static_library",
          "sources": ["matmul-quantized-bytes.cc"],
          "defines": ["FEWBIT_ISA=1"],
          "cflags": ["-mavx2", "-mavxvnni", "-mfma", "-mf16c"],
          "xcode_settings": { "OTHER_CFLAGS": ["-mavx2", "-mavxvnni", "-mfma", "-mf16c"] }
        },
        {
          "target_name": "avx512",
          "type": "static_library",
          "sources": ["kernels.cc"],
          "defines": ["FEWBIT_ISA=2"],
          "cflags": ["-Wno-maybe-uninitialized", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"],
          "xcode_settings": { "OTHER_CFLAGS": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"] }
        },
        {
          "target_name": "avx512vnni",
          "type": "static_library",
          "sources": ["matmul-quantized-bytes.cc"],
          "defines": ["FEWBIT_ISA=2"],
          "cflags": ["-Wno-maybe-uninitialized", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mfma", "-mf16c"],
          "xcode_settings": { "OTHER_CFLAGS": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mfma", "-mf16c"] }
        }
      ]
    }],
    ["target_arch=='arm64'", {
      "targets": [
        {
          "target_name": "neon",
          "type": "static_library",
          "sources": ["kernels.cc"],
          "defines": ["FEWBIT_ISA=3"]
        },
        {
          "target_name": "neondot",
          "type": "static_library",
          "sources": ["matmul-quantized-bytes.cc"],
          "defines": ["FEWBIT_ISA=3"],
          "cflags": ["-march=armv8.2-a+dotprod"],
          "xcode_settings": { "OTHER_CFLAGS": ["-march=armv8.2-a+dotprod"] }
        }
      ]
    }]
  ]
}
