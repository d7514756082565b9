import { greeting } from './greeting';

document.querySelector('#greeting')!.textContent = greeting('the page');
