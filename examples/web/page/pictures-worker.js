import {decode, encode, PictureError} from './pictures.js';

onmessage = async ({data: {which, argument}}) => {
  try {
    const result = await {decode, encode}[which](argument);
    postMessage({result}, [result.data.buffer, ...(result.bitmap ? [result.bitmap] : [])]);
  } catch (error) {
    const {data} = argument;  // goes back
    const reason = error instanceof PictureError ? error.reason : null;
    postMessage({data, error: {message: error.message, reason, details: error.details}}, data ? [data.buffer] : []);
  }
};
