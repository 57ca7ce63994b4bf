import {decode, encode, PictureError} from './pictures.js';

onmessage = async ({data: {id, name, argument}}) => {
  try {
    const result = await {decode, encode}[name](argument);
    postMessage({id, result}, [result.data.buffer, ...(result.bitmap ? [result.bitmap] : [])]);
  } catch (error) {
    const known = error instanceof PictureError;
    const {data} = argument;  // goes back
    postMessage({id, data, error: {message: error.message, reason: known ? error.reason : null, details: error.details}},
        data ? [data.buffer] : []);
  }
};
