// The register tile of every matrix product (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication").
// Ten accumulators, two vectors of the right panel and one broadcast fill the sixteen vector registers of x86-64.

import { madd, maddDouble } from './vector';

/** tile [5, 8] = left panel [k, 5] ᵀ · right panel [k, 8], in float32. */
export function tileProduct(left: usize, right: usize, k: i32, tile: usize): void {
  let c00 = f32x4.splat(0),
    c01 = f32x4.splat(0),
    c10 = f32x4.splat(0),
    c11 = f32x4.splat(0),
    c20 = f32x4.splat(0);
  let c21 = f32x4.splat(0),
    c30 = f32x4.splat(0),
    c31 = f32x4.splat(0),
    c40 = f32x4.splat(0),
    c41 = f32x4.splat(0);
  for (let p = 0; p < k; p++) {
    const b0 = v128.load(right);
    const b1 = v128.load(right, 16);
    const a0 = v128.load_splat<f32>(left);
    c00 = madd(a0, b0, c00);
    c01 = madd(a0, b1, c01);
    const a1 = v128.load_splat<f32>(left, 4);
    c10 = madd(a1, b0, c10);
    c11 = madd(a1, b1, c11);
    const a2 = v128.load_splat<f32>(left, 8);
    c20 = madd(a2, b0, c20);
    c21 = madd(a2, b1, c21);
    const a3 = v128.load_splat<f32>(left, 12);
    c30 = madd(a3, b0, c30);
    c31 = madd(a3, b1, c31);
    const a4 = v128.load_splat<f32>(left, 16);
    c40 = madd(a4, b0, c40);
    c41 = madd(a4, b1, c41);
    left += 20;
    right += 32;
  }
  storeTile(tile, c00, c01, c10, c11, c20, c21, c30, c31, c40, c41);
}

/** tile [5, 4] = left panel [k, 5] ᵀ · right panel [k, 4], in float64. */
export function tileProductDouble(left: usize, right: usize, k: i32, tile: usize): void {
  let c00 = f64x2.splat(0),
    c01 = f64x2.splat(0),
    c10 = f64x2.splat(0),
    c11 = f64x2.splat(0),
    c20 = f64x2.splat(0);
  let c21 = f64x2.splat(0),
    c30 = f64x2.splat(0),
    c31 = f64x2.splat(0),
    c40 = f64x2.splat(0),
    c41 = f64x2.splat(0);
  for (let p = 0; p < k; p++) {
    const b0 = v128.load(right);
    const b1 = v128.load(right, 16);
    const a0 = v128.load_splat<f64>(left);
    c00 = maddDouble(a0, b0, c00);
    c01 = maddDouble(a0, b1, c01);
    const a1 = v128.load_splat<f64>(left, 8);
    c10 = maddDouble(a1, b0, c10);
    c11 = maddDouble(a1, b1, c11);
    const a2 = v128.load_splat<f64>(left, 16);
    c20 = maddDouble(a2, b0, c20);
    c21 = maddDouble(a2, b1, c21);
    const a3 = v128.load_splat<f64>(left, 24);
    c30 = maddDouble(a3, b0, c30);
    c31 = maddDouble(a3, b1, c31);
    const a4 = v128.load_splat<f64>(left, 32);
    c40 = maddDouble(a4, b0, c40);
    c41 = maddDouble(a4, b1, c41);
    left += 40;
    right += 32;
  }
  storeTile(tile, c00, c01, c10, c11, c20, c21, c30, c31, c40, c41);
}

function storeTile(
  tile: usize,
  c00: v128,
  c01: v128,
  c10: v128,
  c11: v128,
  c20: v128,
  c21: v128,
  c30: v128,
  c31: v128,
  c40: v128,
  c41: v128,
): void {
  v128.store(tile, c00);
  v128.store(tile, c01, 16);
  v128.store(tile, c10, 32);
  v128.store(tile, c11, 48);
  v128.store(tile, c20, 64);
  v128.store(tile, c21, 80);
  v128.store(tile, c30, 96);
  v128.store(tile, c31, 112);
  v128.store(tile, c40, 128);
  v128.store(tile, c41, 144);
}
