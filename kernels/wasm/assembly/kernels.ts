import * as id from '../src/control';
import { attention } from './attention';
import { copyRows, permuteColumns, pickRow } from './copy-rows';
import { crossEntropy } from './cross-entropy';
import { activate, add, gated, scale, softcap } from './elementwise';
import { gram } from './gram';
import { multiply, multiplyDouble, packLeftDoubleTask, packLeftTask, packRightTask } from './multiply';
import { multiplyCodes } from './multiply-codes';
import { multiplyCodesRows } from './multiply-codes-rows';
import { decodeLevels, multiplyLevelsRows } from './multiply-levels-rows';
import { multiplyRows, multiplyRowsShort } from './multiply-rows';
import { layerNorm, rmsNorm } from './norm';
import { decodeRow, packCodes } from './packed-codes';
import { storePage } from './page';
import { quantizeTile } from './quantize-activations';
import { rotate } from './rotate';
import { outlierMask, roundActivations, roundTile } from './round-activations';
import { sample } from './sample';
import { addSparse, putEntries, turnTokens } from './sparse';
import { stream } from './stream';
import { choleskyDiagonal, choleskyPanel, inverseLower } from './triangular';

/** Runs one task of a kernel. */
export function runKernel(kernel: i32, task: i32, scratch: usize): void {
  switch (kernel) {
    case id.packLeft:
      packLeftTask(task);
      break;
    case id.packRight:
      packRightTask(task);
      break;
    case id.multiply:
      multiply(task, scratch);
      break;
    case id.multiplyRows:
      multiplyRows(task);
      break;
    case id.gram:
      gram(task, scratch);
      break;
    case id.packLeftDouble:
      packLeftDoubleTask(task);
      break;
    case id.multiplyDouble:
      multiplyDouble(task, scratch);
      break;
    case id.choleskyPanel:
      choleskyPanel(task);
      break;
    case id.inverseLower:
      inverseLower(task, scratch);
      break;
    case id.add:
      add(task);
      break;
    case id.scale:
      scale(task);
      break;
    case id.softcap:
      softcap(task);
      break;
    case id.activate:
      activate(task);
      break;
    case id.gated:
      gated(task);
      break;
    case id.rmsNorm:
      rmsNorm(task);
      break;
    case id.layerNorm:
      layerNorm(task);
      break;
    case id.rotate:
      rotate(task, scratch);
      break;
    case id.attention:
      attention(task, scratch);
      break;
    case id.crossEntropy:
      crossEntropy(task);
      break;
    case id.sample:
      sample(task, scratch);
      break;
    case id.stream:
      stream(task);
      break;
    case id.packCodes:
      packCodes(task);
      break;
    case id.decodeRow:
      decodeRow(task);
      break;
    case id.quantizeTile:
      quantizeTile(task, scratch);
      break;
    case id.multiplyCodesRows:
      multiplyCodesRows(task, scratch);
      break;
    case id.multiplyCodes:
      multiplyCodes(task, scratch);
      break;
    case id.multiplyRowsShort:
      multiplyRowsShort(task);
      break;
    case id.outlierMask:
      outlierMask(task);
      break;
    case id.roundActivations:
      roundActivations(task);
      break;
    case id.roundTile:
      roundTile(task);
      break;
    case id.storePage:
      storePage(task, scratch);
      break;
    case id.copyRows:
      copyRows(task);
      break;
    case id.pickRow:
      pickRow(task);
      break;
    case id.permuteColumns:
      permuteColumns(task);
      break;
    case id.turnTokens:
      turnTokens(task);
      break;
    case id.addSparse:
      addSparse(task);
      break;
    case id.putEntries:
      putEntries(task);
      break;
    case id.multiplyLevelsRows:
      multiplyLevelsRows(task, scratch);
      break;
    case id.decodeLevels:
      decodeLevels(task, scratch);
      break;
    case id.choleskyDiagonal:
      choleskyDiagonal();
      break;
    default:
      unreachable();
  }
}
