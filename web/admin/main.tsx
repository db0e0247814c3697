import '../common/base.css';
import './style.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { readConfig } from '../common/config';
import { App } from './App';

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App config={readConfig()} />
  </StrictMode>,
);
